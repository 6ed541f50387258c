(component
  (import "tunesmith:method/filesystem@0.1.0" (instance)))
