(class_declaration name: (type_identifier) @name) @definition.class
(class_declaration declaration_kind: "struct" name: (type_identifier) @name) @definition.struct
(class_declaration declaration_kind: "enum" name: (type_identifier) @name) @definition.enum
(class_declaration declaration_kind: "extension" name: (user_type) @name) @scope
(protocol_declaration name: (type_identifier) @name) @definition.interface
; a function_declaration: by that name, this pattern takes 0.1 s to compile
(_ "func" name: (simple_identifier) @name) @definition.function
(protocol_function_declaration name: (simple_identifier) @name) @definition.method
(init_declaration "init" @name) @definition.constructor
(deinit_declaration "deinit" @name) @definition.method
(subscript_declaration "subscript" @name) @definition.method
(property_declaration (pattern (simple_identifier) @name)) @definition.property
(protocol_property_declaration name: (_ (simple_identifier) @name)) @definition.property
(typealias_declaration name: (type_identifier) @name) @definition.type
(enum_entry name: (simple_identifier) @name) @definition.constant

(source_file (_ (_ "let") name: (_ (simple_identifier) @name)) @definition.constant)
(source_file (_ (_ "var") name: (_ (simple_identifier) @name)) @definition.variable)

(import_declaration (identifier) @module) @import
