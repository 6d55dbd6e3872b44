"""Languages by the names that people write into `linguist-language`, and the extension by which scc counts each."""

from __future__ import annotations

import re
from typing import Final

# scc's names of languages, and other ones of linguist's, lower-cased and without what is between their words; each with
# its extension. test_attributes.py holds this against `scc --languages`.
_KEYS: Final = dict(
    pair.split(":")
    for pair in """actionscript:as alchemist:crn alex:x algol68:a68 alloy:als amber:ab
    androidinterfacedefinitionlanguage:aidl arkts:ets arturo:art asciidoc:adoc asp:asa asp.net:asax
    assembly:s ats:dats autoconf:in autohotkey:ahk avro:avdl bait:bt basic:bas batch:bat batchfile:bat
    bazel:bzl bitbake:bb bitbucketpipeline:bitbucket-pipelines.yml blade:blade.php bladetemplate:blade.php
    blueprint:blp bosque:bsq brainfuck:bf buildstream:bst c#:cs c++:cpp c++header:hpp cangjie:cj
    capnproto:capnp chapel:chpl cheader:h clipper:prg clojure:clj clojurescript:cljs closuretemplate:soy
    cloudformationjson:json cloudformationyaml:yaml cobol:cob codeql:ql coffeescript:coffee coldfusion:cfm
    coldfusioncfscript:cfc coq:v crystal:cr csharp:cs cshell:csh cuda:cu cython:pyx devicetree:dts
    dockerignore:.dockerignore documenttypedefinition:dtd elixir:ex elixirtemplate:eex emacsdevenv:ede
    emacslisp:el erlang:erl expect:exp extensiblestylesheetlanguagetransformations:xslt f#:fs f*:fst
    fennel:fnl flow9:flow forth:4th fortranlegacy:f fortranmodern:f03 fragmentshaderfile:fsh
    freemarkertemplate:ftl futhark:fut gamemakerlanguage:gml gamemakerproject:yyp gdscript:gd
    gherkinspecification:feature gitignore:.gitignore glsl:vert go+:gop godotscene:tscn golang:go
    gotemplate:tmpl gwion:gw handlebars:hbs happy:y hare:ha haskell:hs haxe:hx idris:idr iec611313:s7dcl
    ignore:.ignore intelhex:ihex isabelle:thy javascript:js javaserverpages:jsp jenkinsbuildfile:jenkinsfile
    julia:jl jupyter:ipynb jupyternotebook:ipynb just:justfile kornshell:ksh kotlin:kt latex:tex
    ldscript:lds lex:l livescript:ls llvmir:ll lolcode:lol macromediaextensiblemarkuplanguage:mxml
    madlang:mad markdown:md matlab:m max:maxpat meson:meson.build modula3:m3 moduledefinition:def monkeyc:mc
    moonbit:mbt mql4:mq4 mql5:mq5 mqlheader:mqh msbuild:csproj mumps:mps nature:n nial:ndf node:js
    nushell:nu objc:m objectivec:m objectivec++:mm ocaml:ml opalang:opa openqasm:qasm opentofu:tofu
    pascal:pas perl:pl picat:pi plaintext:text plpgsql:sql plsql:fnc postscript:ps powershell:ps1
    processing:pde prolog:p propertiesfile:properties protocolbuffer:proto protocolbuffers:proto
    pslassertion:psl puppet:pp purescript:purs python:py q#:qs qttranslationsource:ts racket:rkt
    rakefile:rake razor:cshtml reasonml:re rebol:reb redscript:reds reportdefinitionlanguage:rdl
    rescript:res restructuredtext:rst richtextformat:rtf robotframework:robot ruby:rb rubyhtml:rhtml rust:rs
    scala:sc scallop:scl scheme:scm scons:csig seed7:sd7 shell:sh skill:il smalltalk:cs.st
    smartytemplate:tpl snakemake:smk snobol:sno softbridgebasic:sbl solidity:sol specmane:e spicenetlist:ckt
    srecodetemplate:srt standardmlsml:sml stata:do stylus:styl swig:i systemd:automount systemverilog:sv
    templatetoolkit:tt2 terraform:tf tex:sty text:txt tsql:sql ttcn3:ttcn twigtemplate:twig typescript:ts
    typescripttypings:d.ts typespec:tsp typst:typ unrealscript:uc urweb:ur urwebproject:urp
    varnishconfiguration:vcl verilog:vg verilogargsfile:irunargs vertexshaderfile:vsh vhdl:vhd viml:vim
    vimscript:vim visualbasic:vb visualbasicforapplications:cls w.i.s.e.jobfile:fgmj
    webgpuenhancedshadinglanguage:wesl webgpushadinglanguage:wgsl webservicesdescriptionlanguage:wsdl
    wenyan:wy windowsresourcedefinitionscript:rc wolfram:nb xcodeconfig:xcconfig xmake:xmake.lua
    xmlschema:xsd zenc:zc zokrates:zok""".split()
)
# Those whose name is the extension.
_SAME: Final = frozenset(
    """abap abnf ada agda al apex apl applescript astro awk bash bean bicep boo bru c c3 cabal cairo cassius
    ceylon circom cmake cogent creole css csv cypher d d2 daml dart dhall dm dockerfile dot elm emit factor
    fidl fish fsl fxml gemfile gleam gn go gradle graphql gremlin groovy haml hamlet hcl heex hex hoon html
    idl ini jade jai janet java jcl jinja jq json json5 jsonc jsonl jsonnet jsx julius k koto lalrpop lean
    less license lisp lua luau lucius luna m4 makefile mako mdx metal mlir mog mojo move mustache nim nix
    nuspec odin org oz patch php pkgbuild pkl polly poml pony prql qcl qml r raku raml sas sass sed sieve
    slang slint spdx spl sql stan svelte svg swift tact taskpaper tcl teal templ tera textile thrift tl toml
    toon treetop tsx up v vala vue wren xaml xhtml xml xtend yaml yarn zig zsh""".split()
)
_EXTENSIONS: Final = _SAME.union(_KEYS.values())  # which people write for a name too
_BETWEEN: Final = re.compile(r"[^a-z0-9+#.*]")


def key_of(language: str) -> str | None:
    """The `staging.name_key` of files of a language, such as ``sh`` for ``Shell``; None if scc does not know it."""
    name = _BETWEEN.sub("", language.lower())
    return name if name in _EXTENSIONS else _KEYS.get(name)
