(namespace_definition name: (namespace_name) @package !body)

(namespace_definition name: (namespace_name) @name body: (_)) @definition.module
(class_declaration name: (name) @name) @definition.class
(interface_declaration name: (name) @name) @definition.interface
(trait_declaration name: (name) @name) @definition.trait
(enum_declaration name: (name) @name) @definition.enum
(enum_case name: (name) @name) @definition.constant
(function_definition name: (name) @name) @definition.function
(method_declaration name: (name) @name) @definition.method
((method_declaration name: (name) @name) @definition.constructor (#eq? @name "__construct"))
(property_declaration (property_element (variable_name (name) @name))) @definition.field
(const_declaration (const_element . (name) @name)) @definition.constant
((function_call_expression function: (name) @_define
  arguments: (arguments . (argument (string (string_content) @name)))) @definition.constant
  (#eq? @_define "define"))

(namespace_use_declaration (namespace_use_clause) @import.path)
(namespace_use_declaration body: (namespace_use_group)) @import.path
; `operator:` makes it a binary expression, and the bracket a parenthesized one
(require_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (_ . "(" [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(require_once_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (_ . "(" [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(include_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (_ . "(" [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
(include_once_expression [
  (string (_) @module) (encapsed_string . (string_content) @module .)
  (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])
  (_ . "(" [
    (string (_) @module) (encapsed_string . (string_content) @module .)
    (_ operator: _ right: [(string (_) @module) (encapsed_string . (string_content) @module .)])])
]) @import
