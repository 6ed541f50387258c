(component
  (import "acme:secrets/keys@1.0.0" (instance)))
