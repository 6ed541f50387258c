(component
  (core module $m (func (export "describe") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $describe (result u32) (canon lift (core func $i "describe")))
  (instance $method (export "describe" (func $describe)))
  (export "tunesmith:method/method@1.0.0" (instance $method)))
