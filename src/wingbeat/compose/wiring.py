"""Which output goes into which parameter of a node, decided from names and annotations before anything runs.

Its one rule: an exact type comes first, then the name, then a type that fits; whatever could be meant in two ways, is
missing or would be dropped is an error.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wingbeat.compose.type_fit import element_of, fits, is_known, is_mapping, is_nothing, items_of


class WiringError(ValueError):
    """The outputs that lead to a node do not fit its parameters in exactly one way."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    annotation: Any = field(default=None, compare=False)
    required: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """What a node before this one returns; `label` is that node's."""

    label: str
    annotation: Any = None


@dataclass(frozen=True, slots=True)
class Whole:
    """The output of a node as it is."""

    label: str


@dataclass(frozen=True, slots=True)
class Part:
    """One item of the output of a node: of a dict by its key, of a tuple by its place."""

    label: str
    key: str | int
    required: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """A list of the outputs of several nodes, in the order of their edges."""

    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """What takes any number of values: `*args` and `**kwargs`."""

    by_position: Parameter | None = None
    by_name: Parameter | None = None


NO_REST = Rest()
Source: TypeAlias = Whole | Part | Gathered
Relation: TypeAlias = Callable[[Parameter, Output], bool]


def wire(
    node: str, parameters: Sequence[Parameter], outputs: Sequence[Output], rest: Rest = NO_REST
) -> Mapping[str, Source]:
    """By the names of parameters, where their values come from; one that keeps its default is not in it.

    What is left goes into the rest: into `*args` in the order of edges, into `**kwargs` by label. Raises WiringError.
    """
    wiring = _Wiring(node, list(parameters), list(outputs))
    wiring.pair(_is_exact)
    wiring.pair_by_name(_fits)
    wiring.pair(_fits_as_known)
    wiring.gather(_is_known_element)
    wiring.pair_in_order()
    wiring.gather(_is_any_element)
    wiring.pair(_fits)
    wiring.take_apart()
    wiring.take_rest(rest, besides={each.name for each in parameters})
    wiring.check_that_nothing_is_left(any_parameters=bool(parameters) or rest != NO_REST)
    return wiring.sources


def _is_exact(parameter: Parameter, output: Output) -> bool:
    return is_known(output.annotation) and output.annotation == parameter.annotation


def _fits(parameter: Parameter, output: Output) -> bool:
    return not is_nothing(output.annotation) and fits(output.annotation, parameter.annotation)


def _fits_as_known(parameter: Parameter, output: Output) -> bool:
    return is_known(output.annotation) and is_known(parameter.annotation) and _fits(parameter, output)


def _is_known_element(parameter: Parameter, output: Output) -> bool:
    element = element_of(parameter.annotation)
    return is_known(element) and is_known(output.annotation) and _fits(Parameter("", element), output)


def _is_any_element(parameter: Parameter, output: Output) -> bool:
    return element_of(parameter.annotation) is not None and not _fits(parameter, output) and not _is_none(output)


def _is_none(output: Output) -> bool:
    return is_nothing(output.annotation)


@dataclass(slots=True)
class _Wiring:
    """What is decided, and the parameters and outputs that are still free."""

    node: str
    parameters: list[Parameter]
    outputs: list[Output]
    sources: dict[str, Source] = field(default_factory=dict[str, Source])

    def pair(self, relation: Relation) -> None:
        """Pairs that are the only possible ones, by name where there are several. Raises WiringError for a choice."""
        self.pair_by_name(relation)
        while (options := self._options(relation)) and (pair := _certain(options)):
            self._take(pair[0], Whole(pair[1].label))
        for parameter, possible in options.items():
            rivals = [each.name for each, others in options.items() if set(others) & set(possible)]
            raise WiringError(
                f"node {self.node!r}: it is ambiguous which of the outputs of {_labels(possible)} goes into "
                f"{_names(rivals)}: give the node before it the label {parameter.name!r}"
            )

    def pair_by_name(self, relation: Relation) -> None:
        by_label = {output.label: output for output in self.outputs}
        for parameter in list(self.parameters):
            output = by_label.get(parameter.name)
            if output is not None and relation(parameter, output):
                self._take(parameter, Whole(output.label))

    def pair_in_order(self) -> None:
        """Outputs of unknown types, such as those of maps, go into what is free: first into what must be given."""
        unknown = [output for output in self.outputs if not is_known(output.annotation)]
        required = [parameter for parameter in self.parameters if parameter.required]
        if len(unknown) > len(self.parameters):
            return
        into = required if len(unknown) <= len(required) else self.parameters
        for parameter, output in zip(list(into), unknown, strict=False):
            self._take(parameter, Whole(output.label))

    def gather(self, relation: Relation) -> None:
        """Lists take every output that may be an element. Raises WiringError when two lists could take the same."""
        options = self._options(relation)
        for parameter, elements in options.items():
            rivals = [each.name for each, others in options.items() if set(others) & set(elements)]
            if len(rivals) > 1:
                raise WiringError(
                    f"node {self.node!r}: it is ambiguous whether the outputs of {_labels(elements)} go into "
                    f"{_names(rivals)}: let one node return the list"
                )
            self._take(parameter, Gathered(tuple(output.label for output in elements)))

    def take_apart(self) -> None:
        """One dict or tuple that is left gives all parameters that are left."""
        left = [output for output in self.outputs if is_mapping(output.annotation) or items_of(output.annotation)]
        if len(left) != 1 or not self.parameters:
            return
        (output,) = left
        items = items_of(output.annotation)
        if items is None:
            for parameter in list(self.parameters):
                self._take(parameter, Part(output.label, parameter.name, required=parameter.required))
        elif len(items) == len(self.parameters) and all(map(_item_fits, items, self.parameters)):
            for place, parameter in enumerate(list(self.parameters)):
                self._take(parameter, Part(output.label, place, required=True))

    def take_rest(self, rest: Rest, *, besides: Set[str]) -> None:
        """Raises WiringError for what could go into both."""
        left = [output for output in self.outputs if not is_nothing(output.annotation)]
        if rest.by_position and rest.by_name and left:
            raise WiringError(
                f"node {self.node!r}: it is ambiguous whether the outputs of {_labels(left)} go into "
                f"*{rest.by_position.name} or **{rest.by_name.name}: add a parameter for each, "
                "or add_edge(..., order_only=True) if it is only to come first"
            )
        if rest.by_position and (fitting := [each for each in left if _fits(rest.by_position, each)]):
            self._note(rest.by_position.name, Gathered(tuple(output.label for output in fitting)))
        for output in left:
            if rest.by_name and _fits(rest.by_name, output) and output.label not in besides:
                self._note(output.label, Whole(output.label))

    def check_that_nothing_is_left(self, *, any_parameters: bool) -> None:
        if missing := [parameter.name for parameter in self.parameters if parameter.required]:
            raise WiringError(
                f"node {self.node!r}: nothing goes into {_names(missing)}: "
                f"no node before it returns what fits, among {_labels(self.outputs) or 'none'}"
            )
        kept = [each for each in self.outputs if not is_nothing(each.annotation)]
        if dropped := [each for each in kept if any_parameters or is_known(each.annotation)]:
            unknown = any(not is_known(each.annotation) for each in dropped)
            nothing = ", annotate it with -> None if it returns nothing" if unknown else ""
            raise WiringError(
                f"node {self.node!r}: no parameter takes the output of {_labels(dropped)}: add a parameter of its type"
                f"{nothing}, or add_edge(..., order_only=True) if it is only to come first"
            )

    def _options(self, relation: Relation) -> dict[Parameter, list[Output]]:
        found = {each: [output for output in self.outputs if relation(each, output)] for each in self.parameters}
        return {parameter: outputs for parameter, outputs in found.items() if outputs}

    def _take(self, parameter: Parameter, source: Source) -> None:
        self._note(parameter.name, source)
        self.parameters.remove(parameter)

    def _note(self, name: str, source: Source) -> None:
        taken = source.labels if isinstance(source, Gathered) else (source.label,)
        self.sources[name] = source
        self.outputs = [output for output in self.outputs if output.label not in taken]


def _certain(options: Mapping[Parameter, list[Output]]) -> tuple[Parameter, Output] | None:
    """A pair that leaves no other choice: a parameter that must be given comes before those with defaults."""
    for parameter, outputs in options.items():
        if len(outputs) == 1:
            rivals = [each for each, others in options.items() if each is not parameter and outputs[0] in others]
            if not rivals or (parameter.required and not any(rival.required for rival in rivals)):
                return parameter, outputs[0]
    return None


def _item_fits(item: Any, parameter: Parameter) -> bool:
    return fits(item, parameter.annotation)


def _labels(outputs: Sequence[Output]) -> str:
    return ", ".join(f"{each.label!r} ({_type_text(each.annotation)})" for each in outputs)


def _type_text(annotation: Any) -> str:
    if annotation is None:
        return "of no known type"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
