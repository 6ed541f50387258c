(component
  (import "wasi:http/outgoing-handler@0.2.10" (instance)))
