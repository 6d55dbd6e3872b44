(class_declaration declaration_kind: "struct" name: (type_identifier) @name) @definition.struct
(class_declaration declaration_kind: "enum" name: (type_identifier) @name) @definition.enum
(class_declaration declaration_kind: "extension" name: (user_type) @name) @scope
(protocol_declaration name: (type_identifier) @name) @definition.interface
(function_declaration name: (simple_identifier) @name) @definition.function
(protocol_function_declaration name: (simple_identifier) @name) @definition.method
(init_declaration "init" @name) @definition.constructor
(deinit_declaration "deinit" @name) @definition.method
(subscript_declaration "subscript" @name) @definition.method
(property_declaration name: (pattern (simple_identifier) @name)) @definition.property
(protocol_property_declaration name: (pattern (simple_identifier) @name)) @definition.property
(typealias_declaration name: (type_identifier) @name) @definition.type
(enum_entry name: (simple_identifier) @name) @definition.constant

(source_file (property_declaration (value_binding_pattern "let")
  name: (pattern (simple_identifier) @name)) @definition.constant)
(source_file (property_declaration (value_binding_pattern "var")
  name: (pattern (simple_identifier) @name)) @definition.variable)

(import_declaration (identifier) @module) @import

(subscript_declaration (parameter (simple_identifier) @name)) @nothing
