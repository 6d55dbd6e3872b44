; Shared by C and C++. Tokens and fields say which declarator is meant, for its name would take long to compile:
; `*` is a pointer's, `parameters` a function's, `(` a parenthesized one's.

(struct_specifier name: (type_identifier) @name body: (_)) @definition.struct
(union_specifier name: (type_identifier) @name body: (_)) @definition.union
(enum_specifier name: (type_identifier) @name body: (_)) @definition.enum
(enumerator name: (identifier) @name) @definition.constant
(type_definition declarator: [
  (type_identifier) @name
  (_ "*" declarator: (type_identifier) @name)
  (_ declarator: (_ . "(" (_ "*" declarator: (type_identifier) @name)) parameters: (_))]) @definition.type
(type_definition type: (_ body: (_) @body) declarator: (type_identifier) @name) @definition.type

; the declarator of a function wherever it stands; the patterns below know better for most
(function_declarator declarator: (identifier) @name) @definition.function

; variables outside functions; functions match here too and are corrected by the patterns below
(translation_unit (declaration declarator: [
  (identifier) @name
  (_ declarator: (identifier) @name)
  (_ declarator: (_ declarator: (identifier) @name))]) @definition.variable)
(preproc_ifdef (declaration declarator: [
  (identifier) @name
  (_ declarator: (identifier) @name)
  (_ declarator: (_ declarator: (identifier) @name))]) @definition.variable)
(declaration_list (declaration declarator: [
  (identifier) @name
  (_ declarator: (identifier) @name)
  (_ declarator: (_ declarator: (identifier) @name))]) @definition.variable)

(function_definition declarator: [
  (_ declarator: (identifier) @name parameters: (_))
  (_ "*" declarator: (_ declarator: (identifier) @name parameters: (_)))
  (_ "*" declarator: (_ "*" declarator: (_ declarator: (identifier) @name parameters: (_))))]) @definition.function
(declaration declarator: [
  (_ declarator: (identifier) @name parameters: (_))
  (_ "*" declarator: (_ declarator: (identifier) @name parameters: (_)))
  (_ "*" declarator: (_ "*" declarator: (_ declarator: (identifier) @name parameters: (_))))]) @definition.function
(field_declaration declarator: [
  (field_identifier) @name
  (_ declarator: (field_identifier) @name "[")
  (_ "*" declarator: (field_identifier) @name)
  (_ "*" declarator: (_ "*" declarator: (field_identifier) @name))
  (_ declarator: (_ . "(" (_ "*" declarator: (field_identifier) @name)) parameters: (_))]) @definition.field

(preproc_def name: (identifier) @name) @definition.macro
(preproc_function_def name: (identifier) @name) @definition.macro

(preproc_include path: [(string_literal) (system_lib_string)] @module) @import
