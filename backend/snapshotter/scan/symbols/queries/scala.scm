(package_clause name: (package_identifier) @package)

(trait_definition name: (identifier) @name) @definition.trait
(simple_enum_case name: (identifier) @name) @definition.constant
(full_enum_case name: (identifier) @name) @definition.constant
(function_declaration name: (identifier) @name) @definition.function

(import_declaration) @import.path

(package_clause name: (package_identifier) @name) @nothing
