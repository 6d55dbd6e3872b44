(module (expression_statement (assignment left: (identifier) @name) @definition.constant))
(class_definition name: (identifier) @name) @definition.class
(function_definition name: (identifier) @name) @definition.function
(class_definition body: (block (expression_statement
  (assignment left: (identifier) @name) @definition.field)))

(type_alias_statement left: (type (identifier) @name)) @definition.type

(import_statement name: (dotted_name) @module) @import
(import_statement name: (aliased_import name: (dotted_name) @module)) @import
(import_from_statement module_name: (_) @module) @import
(import_from_statement module_name: (_) @module name: (dotted_name) @member) @import
(import_from_statement module_name: (_) @module name: (aliased_import name: (dotted_name) @member)) @import
(import_from_statement module_name: (_) @module (wildcard_import) @member) @import
(future_import_statement "__future__" @module name: (dotted_name) @member) @import
(future_import_statement "__future__" @module name: (aliased_import name: (dotted_name) @member)) @import
