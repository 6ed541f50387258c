(component
  (core module $m
    (func (export "describe") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $run async (canon lift (core func $i "run") async (callback (func $i "describe"))))
  (instance $method (export "describe" (func $run)))
  (export "tunesmith:method/method@0.1.0" (instance $method)))
