;; The carrier: takes a batch as two pieces of memory, its text and all the rest, and gives
;; the answer as one, laid out as the canonical ABI lays out lists of conversations. Between it and the plugin go
;; adapters that wasmtime compiles, which call from WebAssembly into WebAssembly; from the
;; host, every single text would be a call of its own.
;;
;; `layout.rs` is the other side of what lies where.
(component
  ;; The contract's types, which the host passes in: a function's types need names.
  (type $role-shape (enum "system" "user" "assistant"))
  (import "role" (type $role (eq $role-shape)))
  (type $message-shape (record (field "role" $role) (field "content" string)))
  (import "message" (type $message (eq $message-shape)))
  (type $example-shape (record (field "messages" (list $message))))
  (import "example" (type $example (eq $example-shape)))
  (type $value-shape (variant
    (case "flag" bool) (case "integer" s32) (case "number" f64) (case "text" string)
    (case "texts" (list string))))
  (import "value" (type $value (eq $value-shape)))
  (type $origin-shape (enum "given" "default"))
  (import "origin" (type $origin (eq $origin-shape)))
  (type $job-setting-shape (record
    (field "name" string) (field "value" $value) (field "origin" $origin)))
  (import "job-setting" (type $job-setting (eq $job-setting-shape)))
  (type $job-shape (record
    (field "name" string) (field "base-model" string) (field "settings" (list $job-setting))
    (field "seed" u32)))
  (import "job" (type $job (eq $job-shape)))
  (type $invalid-setting-shape (record (field "name" string) (field "reason" string)))
  (import "invalid-setting" (type $invalid-setting (eq $invalid-setting-shape)))
  (type $refusal-shape (variant
    (case "invalid-setting" $invalid-setting) (case "unsuitable-dataset" string)
    (case "unsupported" string) (case "other" string)))
  (import "refusal" (type $refusal (eq $refusal-shape)))
  (import "apply" (func $apply
    (param "job" $job) (param "batch" (list $example))
    (result (result (list (option $example)) (error $refusal)))))

  ;; Memory that only grows: it is thrown away after one call.
  (core module $room
    ;; 3 MiB: no more is needed for most batches, which have 1 MiB and come back, and
    ;; growing is slow.
    (memory (export "memory") 48)
    ;; The first byte that is free. Those before it hold what `carry` returns.
    (global $top (export "top") (mut i32) (i32.const 16))
    (func (export "realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $end i32) (local $missing i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (local.set $end (i32.add (local.get $at) (local.get $size)))
      (if (i32.lt_u (local.get $end) (global.get $top)) (then (unreachable)))
      ;; In pages of 64 KiB.
      (local.set $missing
        (i32.sub
          (i32.add (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1))
          (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then
          ;; At least 16 at a time.
          (if (i32.lt_s (local.get $missing) (i32.const 16))
            (then (local.set $missing (i32.const 16))))
          (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable)))))
      (global.set $top (local.get $end))
      (if (local.get $old-size)
        (then
          (memory.copy
            (local.get $at) (local.get $old)
            (select
              (local.get $old-size) (local.get $size)
              (i32.lt_u (local.get $old-size) (local.get $size))))))
      (local.get $at)))

  (core module $carrier
    (import "room" "memory" (memory 1))
    (import "room" "top" (global $top (mut i32)))
    (import "room" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "plugin" "apply"
      (func $apply (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (func (export "carry")
      (param $head i32) (param $length i32) (param $text i32) (param $text-length i32)
      (result i32)
      (local $answer i32)
      ;; Addresses in the head count on where both lie.
      (if (i32.ne (local.get $head) (i32.const 16)) (then (unreachable)))
      (if (i32.ne (local.get $text) (i32.add (local.get $head) (local.get $length)))
        (then (unreachable)))
      ;; From here on everything is the answer, the result itself first.
      (local.set $answer
        (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 40)))
      (call $apply
        (i32.load offset=16 (i32.const 0))
        (i32.load offset=20 (i32.const 0))
        (i32.load offset=24 (i32.const 0))
        (i32.load offset=28 (i32.const 0))
        (i32.load offset=32 (i32.const 0))
        (i32.load offset=36 (i32.const 0))
        (i32.load offset=40 (i32.const 0))
        (i32.load offset=44 (i32.const 0))
        (i32.load offset=48 (i32.const 0))
        (local.get $answer))
      (i32.store (i32.const 0) (local.get $answer))
      (i32.store (i32.const 4) (i32.sub (global.get $top) (local.get $answer)))
      (i32.const 0)))

  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (alias core export $room "realloc" (core func $realloc))
  (core func $lowered
    (canon lower (func $apply) (memory $memory) (realloc $realloc) string-encoding=utf8))
  (core instance $plugin (export "apply" (func $lowered)))
  (core instance $carrier (instantiate $carrier
    (with "room" (instance $room))
    (with "plugin" (instance $plugin))))
  (func (export "carry") (param "head" (list u8)) (param "text" (list u8)) (result (list u8))
    (canon lift (core func $carrier "carry") (memory $memory) (realloc $realloc))))
