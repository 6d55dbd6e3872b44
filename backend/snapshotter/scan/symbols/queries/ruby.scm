(method name: (_) @name) @definition.method
(singleton_method name: (_) @name) @definition.method
(alias name: (_) @name) @definition.method
(class name: [(constant) @name (_ name: (_) @name)]) @definition.class
(singleton_class value: [(constant) @name (scope_resolution name: (_) @name)]) @definition.class
(module name: [(constant) @name (_ name: (_) @name)]) @definition.module
(program (_ left: (constant) @name . "=") @definition.constant)
(body_statement (_ left: (constant) @name . "=") @definition.constant)
((call method: (identifier) @_attr arguments: (argument_list (simple_symbol) @name @definition.property))
  (#any-of? @_attr "attr_reader" "attr_writer" "attr_accessor"))
((call method: (identifier) @_alias arguments: (argument_list . (simple_symbol) @name)) @definition.method
  (#eq? @_alias "alias_method"))
(class name: (_ scope: (_) @owner name: (_) @name)) @definition.class
(module name: (_ scope: (_) @owner name: (_) @name)) @definition.module

((call method: (identifier) @_load
  arguments: (argument_list . (string (string_content) @module))) @import
  (#any-of? @_load "require" "load"))
((call method: (identifier) @_load
  arguments: (argument_list . (string (string_content) @module @module.relative))) @import
  (#eq? @_load "require_relative"))
((call method: (identifier) @_load
  arguments: (argument_list (simple_symbol) . (string (string_content) @module))) @import
  (#eq? @_load "autoload"))
