; shared by JavaScript, TypeScript and TSX

(export_statement value: (_ left: (identifier) @name "=" right: [
  (number) (string) (identifier) (undefined) (null) (new_expression) (binary_expression) (call_expression)
])) @definition.constant
(program (lexical_declaration kind: "const"
  (variable_declarator name: (identifier) @name) @definition.constant))
(program (lexical_declaration kind: "let"
  (variable_declarator name: (identifier) @name) @definition.variable))
(program (variable_declaration (variable_declarator name: (identifier) @name) @definition.variable))
(export_statement (lexical_declaration kind: "const"
  (variable_declarator name: (identifier) @name) @definition.constant))
(export_statement (lexical_declaration kind: "let"
  (variable_declarator name: (identifier) @name) @definition.variable))

; as the next but one, whose limit of depth they reach one level deeper
(lexical_declaration
  (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @definition.function)
(variable_declaration
  (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @definition.function)
[(class name: (_) @name) (class_declaration name: (_) @name)] @definition.class
[
  (function_expression name: (identifier) @name)
  (function_declaration name: (identifier) @name)
  (generator_function name: (identifier) @name)
  (generator_function_declaration name: (identifier) @name)
] @definition.function
(variable_declarator name: (identifier) @name
  value: [(_ "=>" body: (_) @body) (function_expression body: (_) @body)]) @definition.function
(assignment_expression
  left: [(identifier) @name (_ property: (property_identifier) @name)]
  right: [(_ "=>" body: (_) @body) (function_expression body: (_) @body)]) @definition.function
(pair key: (property_identifier) @name
  value: [(_ "=>" body: (_) @body) (function_expression body: (_) @body)]) @definition.function

(method_definition name: (_) @name) @definition.method
((method_definition name: (property_identifier) @name) @definition.constructor (#eq? @name "constructor"))

(import_statement source: (string (string_fragment) @module)) @import
(import_statement (import_clause (identifier) @member.default)
  source: (string (string_fragment) @module)) @import
(import_statement (import_clause (namespace_import) @member.all)
  source: (string (string_fragment) @module)) @import
(import_statement (import_clause (named_imports (import_specifier name: (_) @member)))
  source: (string (string_fragment) @module)) @import
(export_statement source: (string (string_fragment) @module)) @import
(export_statement "*" @member.all source: (string (string_fragment) @module)) @import
(export_statement (export_clause (export_specifier name: (_) @member))
  source: (string (string_fragment) @module)) @import
((call_expression function: (identifier) @_require
  arguments: (_ . (string (string_fragment) @module))) @import
  (#eq? @_require "require"))
((variable_declarator
  name: (object_pattern (shorthand_property_identifier_pattern) @member)
  value: (call_expression function: (identifier) @_require
    arguments: (_ . (string (string_fragment) @module)))) @import
  (#eq? @_require "require"))
(call_expression function: (import)
  arguments: (_ . (string (string_fragment) @module))) @import
