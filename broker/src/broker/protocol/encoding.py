"""Generates the writing half: one function per struct and version. See `compiler` for the shape of what is generated."""

import struct
from typing import Any

from broker.protocol.compiler import FIXED, STRING_BYTES_MAX, Source, fixed_struct
from broker.protocol.message import Struct
from broker.protocol.types import Field

_built: dict[tuple[type[Struct], int, bool], Any] = {}


def build_encoder(cls: type[Struct], version: int, flexible: bool) -> Any:
    """``function(instance, parts)`` for this version."""
    key = (cls, version, flexible)
    if key not in _built:
        _built[key] = _Encoder(cls, version, flexible).build()
    return _built[key]


def holds_records(kind: Any) -> bool:
    """Whether writing a value may start a new buffer."""
    if isinstance(kind, str):
        return kind == "records"
    return any(holds_records(field.element if field.kind == "array" else field.kind) for field in kind.FIELDS)


class _Encoder:
    def __init__(self, cls: type[Struct], version: int, flexible: bool) -> None:
        self.cls = cls
        self.version = version
        self.flexible = flexible
        self.source = Source(cls, version, "encode")

    def build(self) -> Any:
        source = self.source
        source.add(0, "def function(o, parts):")
        source.add(1, "out = parts[-1]")
        for field in self.cls.FIELDS:
            if self.version not in field.versions and not field.ignorable:
                self._refuse(field)
        present = [f for f in self.cls.FIELDS if self.version in f.versions]
        self._run([f for f in present if f.tag is None])
        if self.flexible:
            self._tagged([f for f in present if f.tag is not None])
        return source.compile()

    def _label(self, field: Field) -> str:
        return f"{self.cls.__name__}.{field.name}"

    def _refuse(self, field: Field) -> None:
        default = self.source.name(field.default_value(), "default")
        # A list that may be null in other versions counts as unset both ways.
        unset = f"o.{field.name} != {default}" + (f" and o.{field.name} is not None" if field.kind == "array" else "")
        self.source.add(1, f"if {unset}: refuse_field({self._label(field)!r}, {self.version})", self._label(field))

    def _run(self, fields: list[Field]) -> None:
        index = 0
        while index < len(fields):
            together = []
            while index < len(fields) and fields[index].kind in FIXED:
                together.append(fields[index])
                index += 1
            if together:
                values = ", ".join(self._fixed_value(field.kind, f"o.{field.name}") for field in together)
                pack = self.source.name(fixed_struct(together).pack, "pack")
                self.source.add(1, f"out += {pack}({values})", self._label(together[0]))
            if index < len(fields):
                self._value(1, fields[index], f"o.{fields[index].name}")
                index += 1

    @staticmethod
    def _fixed_value(kind: str, value: str) -> str:
        return f"{value}.bytes" if kind == "uuid" else value

    def _value(self, indent: int, field: Field, value: str) -> None:
        label, source = self._label(field), self.source
        nullable = self.version in field.nullable
        if field.kind in FIXED:
            pack = source.name(fixed_struct([field]).pack, "pack")
            source.add(indent, f"out += {pack}({self._fixed_value(field.kind, value)})", label)
        elif field.kind == "array":
            self._array(indent, field, value)
        elif isinstance(field.kind, str):
            self._sized(indent, field.kind, nullable, value, label)
        else:
            encoder = source.name(build_encoder(field.kind, self.version, self.flexible), "encode")
            if nullable:
                source.add(indent, f"if {value} is None: out.append(255)", label)
                source.add(indent, "else:", label)
                indent += 1
                source.add(indent, "out.append(1)", label)
            source.add(indent, f"{encoder}({value}, parts)", label)
            if holds_records(field.kind):
                source.add(indent, "out = parts[-1]", label)

    def _length(self, indent: int, kind: str, length: str, label: str) -> None:
        source = self.source
        if self.flexible:
            source.add(indent, f"if {length} < 127: out.append({length} + 1)", label)
            if kind == "string":
                source.add(indent, f"elif {length} > {STRING_BYTES_MAX}: refuse_text({label!r}, {length})", label)
            source.add(indent, f"else: write_uvarint(out, {length} + 1)", label)
        else:
            code = "int16" if kind == "string" else "int32"
            pack = source.name(struct.Struct(">" + FIXED[code][0]).pack, "pack")
            source.add(indent, f"out += {pack}({length})", label)

    def _null(self, indent: int, kind: str, label: str) -> None:
        literal = b"\0" if self.flexible else (b"\xff\xff" if kind == "string" else b"\xff\xff\xff\xff")
        self.source.add(indent, f"out += {literal!r}", label)

    def _sized(self, indent: int, kind: str, nullable: bool, value: str, label: str) -> None:
        source = self.source
        if nullable or kind == "records":
            source.add(indent, f"if {value} is None:", label)
            self._null(indent + 1, kind, label)
            source.add(indent, "else:", label)
            indent += 1
        if kind == "records":
            self._records(indent, value, label)
            return
        data, length = source.temporary("data"), source.temporary("n")
        source.add(indent, f"{data} = {value}.encode()" if kind == "string" else f"{data} = {value}", label)
        source.add(indent, f"{length} = len({data})", label)
        self._length(indent, kind, length, label)
        source.add(indent, f"out += {data}", label)

    def _records(self, indent: int, value: str, label: str) -> None:
        """The length here, the batches as buffers of their own, and a new bytearray for what follows."""
        source, length = self.source, self.source.temporary("n")
        source.add(indent, f"if isinstance({value}, (list, tuple)):", label)
        source.add(indent + 1, f"{length} = sum(map(len, {value}))", label)
        self._length(indent + 1, "records", length, label)
        source.add(indent + 1, f"parts.extend({value})", label)
        source.add(indent, "else:", label)
        source.add(indent + 1, f"{length} = len({value})", label)
        self._length(indent + 1, "records", length, label)
        source.add(indent + 1, f"parts.append({value})", label)
        source.add(indent, "out = bytearray()", label)
        source.add(indent, "parts.append(out)", label)

    def _array(self, indent: int, field: Field, value: str) -> None:
        source, label, element = self.source, self._label(field), field.element
        if self.version in field.nullable:
            source.add(indent, f"if {value} is None:", label)
            self._null(indent + 1, "array", label)
            source.add(indent, "else:", label)
            indent += 1
        length, item = source.temporary("n"), source.temporary("item")
        source.add(indent, f"{length} = len({value})", label)
        self._length(indent, "array", length, label)
        if element in FIXED and element != "uuid":
            pack = source.name(struct.pack, "pack")
            source.add(indent, f"out += {pack}('>%d{FIXED[element][0]}' % {length}, *{value})", label)
            return
        source.add(indent, f"for {item} in {value}:", label)
        if element == "uuid":
            source.add(indent + 1, f"out += {item}.bytes", label)
        elif isinstance(element, str):
            self._sized(indent + 1, element, False, item, label)
        else:
            encoder = source.name(build_encoder(element, self.version, self.flexible), "encode")
            source.add(indent + 1, f"{encoder}({item}, parts)", label)
            if holds_records(element):
                source.add(indent, "out = parts[-1]", label)

    def _tagged(self, fields: list[Field]) -> None:
        """Only what differs from its default is written, in the order of the tags."""
        source = self.source
        if not fields:
            source.add(1, "out.append(0)")
            return
        source.add(1, "tags = []")
        for field in sorted(fields, key=lambda field: field.tag or 0):
            label, default = self._label(field), source.name(field.default_value(), "default")
            source.add(1, f"if o.{field.name} != {default}:", label)
            source.add(2, "out = bytearray()", label)
            source.add(2, f"tags.append(({field.tag}, out))", label)
            source.add(2, "parts, outer = [out], parts", label)
            self._value(2, field, f"o.{field.name}")
            source.add(2, "parts = outer", label)
        source.add(1, "out = parts[-1]")
        source.add(1, "write_uvarint(out, len(tags))")
        source.add(1, "for tag, body in tags:")
        source.add(2, "write_uvarint(out, tag)")
        source.add(2, "write_uvarint(out, len(body))")
        source.add(2, "out += body")
