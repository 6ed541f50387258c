(component
  (core module $m
    (memory 65536)
    (func (export "describe") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $describe (result u32) (canon lift (core func $i "describe")))
  (instance $method (export "describe" (func $describe)))
  (export "tunesmith:method/method@0.1.0" (instance $method)))
