(component
  (core module $m (memory i64 1)))
