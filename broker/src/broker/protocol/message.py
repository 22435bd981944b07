"""Messages as plain classes with slots, made from their declarations.

`Struct` is a nested part, `Request` and `Response` are whole messages with an API key, `Record` is the value or key of a
record in one of the internal logs (its number is `API_KEY` as well). Constructors take keywords; what is left out has
Kafka's default. The constructor of a class is compiled when it is first called, so that importing declarations is cheap.
"""

from typing import Any, ClassVar

from broker.protocol.types import Field, Versions


class MessageType(type):
    """Turns the fields of a class body into slots and keeps the declarations in `FIELDS`."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "MessageType":
        fields = {key: value for key, value in namespace.items() if isinstance(value, Field)}
        for key, field in fields.items():
            field.name = key
            del namespace[key]
        namespace["__slots__"] = tuple(fields)
        namespace["FIELDS"] = tuple(fields.values())
        made = super().__new__(cls, name, bases, namespace)
        made._describe(**options)  # type: ignore[attr-defined]
        return made

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace)


class Struct(metaclass=MessageType):
    """Base of everything that has fields."""

    FIELDS: ClassVar[tuple[Field, ...]]

    @classmethod
    def _describe(cls) -> None:
        """Hook of the metaclass for class options; a nested struct has none."""

    def __init__(self, **values: Any) -> None:
        """Compile this class's constructor, put it in place of this one, and run it."""
        _compile_constructor(type(self))(self, **values)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in self.FIELDS)})"


class Message(Struct):
    """A struct that travels or is stored by itself."""

    API_KEY: ClassVar[int]
    VERSIONS: ClassVar[tuple[int, int]]
    # The first version with compact lengths and tagged fields; None when there is none.
    FLEXIBLE_FROM: ClassVar[int | None]

    @classmethod
    def _describe(cls, key: int = -1, versions: str = "none", flexible: str = "none") -> None:
        supported, flexible_range = Versions(versions), Versions(flexible)
        cls.API_KEY = key
        cls.VERSIONS = (supported.first, supported.last)
        cls.FLEXIBLE_FROM = None if flexible == "none" else flexible_range.first

    @classmethod
    def is_flexible(cls, version: int) -> bool:
        return cls.FLEXIBLE_FROM is not None and version >= cls.FLEXIBLE_FROM


class Request(Message):
    """A request of a client, a broker or a controller; `LISTENERS` says whom it may be sent to."""

    LISTENERS: ClassVar[tuple[str, ...]]

    @classmethod
    def _describe(cls, key: int = -1, versions: str = "none", flexible: str = "none", listeners: tuple[str, ...] = ()) -> None:
        super()._describe(key=key, versions=versions, flexible=flexible)
        cls.LISTENERS = listeners


class Response(Message):
    """The answer to the request of the same key and version."""


class Record(Message):
    """A key or value in `__cluster_metadata` or `__consumer_offsets`, or a control record's body."""


def _compile_constructor(cls: type[Struct]) -> Any:
    namespace: dict[str, Any] = {}
    parameters, body = [], []
    for field in cls.FIELDS:
        name, shared = field.name, field.default is not ...
        namespace[f"_d_{name}"] = field.default if shared else field.default_value
        if shared:
            parameters.append(f"{name}=_d_{name}")
            body.append(f" self.{name} = {name}")
        else:
            # A fresh list or struct for each instance. The default maker itself says "left out", since null may be meant.
            left_out = f"_d_{name}" if field.nullable.first <= field.nullable.last else "None"
            parameters.append(f"{name}={left_out}")
            body.append(f" self.{name} = {name} if {name} is not {left_out} else _d_{name}()")
    star = ", *, " if parameters else ""
    source = f"def __init__(self{star}{', '.join(parameters)}):\n" + ("\n".join(body) or " pass")
    exec(source, namespace)  # noqa: S102 - made of our own declarations
    constructor = namespace["__init__"]
    cls.__init__ = constructor  # type: ignore[method-assign]
    return constructor
