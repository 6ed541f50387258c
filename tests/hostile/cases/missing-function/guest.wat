(component
  (instance $method)
  (export "tunesmith:method/method@0.1.0" (instance $method)))
