(namespace_definition name: (namespace_name) @package !body)

(namespace_definition name: (namespace_name) @name body: (_)) @definition.module
(trait_declaration name: (name) @name) @definition.trait
(enum_declaration name: (name) @name) @definition.enum
(enum_case name: (name) @name) @definition.constant
(method_declaration name: (name) @name) @definition.method
((method_declaration name: (name) @name) @definition.constructor (#eq? @name "__construct"))
(const_declaration (const_element . (name) @name)) @definition.constant
((function_call_expression function: (name) @_define
  arguments: (arguments . (argument (string (string_content) @name)))) @definition.constant
  (#eq? @_define "define"))

(namespace_use_declaration (namespace_use_clause) @import.path)
(namespace_use_declaration body: (namespace_use_group)) @import.path
(require_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (parenthesized_expression [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(require_once_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (parenthesized_expression [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(include_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (parenthesized_expression [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(include_once_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (parenthesized_expression [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (binary_expression right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import

(namespace_definition name: (namespace_name) @name !body) @nothing
