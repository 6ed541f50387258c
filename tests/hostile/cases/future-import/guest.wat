(component
  (import "tunesmith:method/dataset@0.2.0" (instance)))
