(program (assignment left: (constant) @name) @definition.constant)
(body_statement (assignment left: (constant) @name) @definition.constant)
((call method: (identifier) @_attr arguments: (argument_list (simple_symbol) @name @definition.property))
  (#any-of? @_attr "attr_reader" "attr_writer" "attr_accessor"))
((call method: (identifier) @_alias arguments: (argument_list . (simple_symbol) @name)) @definition.method
  (#eq? @_alias "alias_method"))
(class name: (scope_resolution scope: (_) @owner name: (_) @name)) @definition.class
(module name: (scope_resolution scope: (_) @owner name: (_) @name)) @definition.module

((call method: (identifier) @_load
  arguments: (argument_list . (string (string_content) @module))) @import
  (#any-of? @_load "require" "load"))
((call method: (identifier) @_load
  arguments: (argument_list . (string (string_content) @module @module.relative))) @import
  (#eq? @_load "require_relative"))
((call method: (identifier) @_load
  arguments: (argument_list (simple_symbol) . (string (string_content) @module))) @import
  (#eq? @_load "autoload"))
