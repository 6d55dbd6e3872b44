; shared by JavaScript, TypeScript and TSX

(program (lexical_declaration kind: "const"
  (variable_declarator name: (identifier) @name) @definition.constant))
(program (lexical_declaration kind: "let"
  (variable_declarator name: (identifier) @name) @definition.variable))
(program (variable_declaration (variable_declarator name: (identifier) @name) @definition.variable))
(export_statement (lexical_declaration kind: "const"
  (variable_declarator name: (identifier) @name) @definition.constant))
(export_statement (lexical_declaration kind: "let"
  (variable_declarator name: (identifier) @name) @definition.variable))

(variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @definition.function
(assignment_expression
  left: [(identifier) @name (member_expression property: (property_identifier) @name)]
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @definition.function
(pair key: (property_identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @definition.function

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
  arguments: (arguments . (string (string_fragment) @module))) @import
  (#eq? @_require "require"))
((variable_declarator
  name: (object_pattern (shorthand_property_identifier_pattern) @member)
  value: (call_expression function: (identifier) @_require
    arguments: (arguments . (string (string_fragment) @module)))) @import
  (#eq? @_require "require"))
(call_expression function: (import)
  arguments: (arguments . (string (string_fragment) @module))) @import
