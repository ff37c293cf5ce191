"""The namespace: what becomes a node, where, with which tags and triggers, and what is refused."""

import asyncio
import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from wingbeat import GlobalRef, NsRef
from wingbeat.compose import tags
from wingbeat.compose.namespace import (
    DagContext,
    DagPath,
    Namespace,
    NamespaceNode,
    NsCacheConfig,
    NsNodeConfig,
    TriggerConfig,
    dag_factory,
    inline,
    mount_required,
    mountable,
    require_cache,
)
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.policy import CatchUp, Overlap, Policies

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(sys.modules, __name__, request.module)


@pytest.fixture
def ns() -> Namespace:
    return Namespace()


def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


async def later(a: int) -> int:
    return a


@inline
def quick(a: int) -> int:
    return a


@require_cache
def costly(a: int) -> int:
    return a


@dag_factory
def no_dag() -> str:
    return "not a Dag"


def asked() -> dict[str, int] | None:
    return None


def tenfold(fn: Callable[..., int]) -> Callable[..., int]:
    return lambda *args: 10 * fn(*args)


class Doubling:
    def __call__(self, a: int) -> int:
        return 2 * a


class Context(DagContext):
    extra: str = "said"


def with_context(ctx: Context, a: int) -> int:
    return a


def of_text(ctx: "DagContext") -> None: ...


# What becomes a node, and where


def test_a_callable_is_found_where_it_was_registered(ns: Namespace) -> None:
    node = ns.register(add, nsref="math.simple:add", tags={"fast"})
    assert ns.get("math.simple:add") is ns.get(NsRef("math.simple:add")) is node
    assert (node.nsref, node.tags, node.namespace, node.dag) == ("math.simple:add", {"fast"}, ns, None)
    assert (node(1), node(a=1, b=2), node.method.doc) == (2, 3, "Adds.")


@pytest.mark.parametrize(
    ("c", "nsref"),
    [
        pytest.param(add, f"{__name__}:add", id="a function"),
        pytest.param("json:dumps", "json:dumps", id="an import path"),
        pytest.param(len, "builtins:len", id="a builtin"),
        pytest.param(partial(add, 1), f"{__name__}:add", id="a partial, as its function"),
        pytest.param(Doubling(), f"{__name__}:Doubling", id="an object, as its class"),
    ],
)
def test_without_a_place_it_is_the_module_and_the_name(ns: Namespace, c: Any, nsref: str) -> None:
    assert ns.register(c).nsref == nsref


def test_partials_and_objects_run(ns: Namespace) -> None:
    assert ns.register(partial(add, 5), nsref="a:partial")(b=2) == 7
    assert ns.register(Doubling(), nsref="a:object")(4) == 8
    assert [node.method.gref for node in ns.nodes()] == [None, None]


def test_what_belongs_to_no_module_must_be_told_a_place(ns: Namespace) -> None:
    with pytest.raises(ValueError, match="belongs to no module: say its nsref"):
        ns.register("text".upper)
    assert ns.register("text".upper, nsref="a:upper")() == "TEXT"


def test_a_callable_is_found_by_itself(ns: Namespace) -> None:
    one, two = partial(add, 1), partial(add, 2)
    nodes = [ns.node_of(each) for each in (one, two, add)]
    assert [str(node.nsref) for node in nodes] == [f"{__name__}:add{end}" for end in ("", "_2", "_3")]
    assert [ns.node_of(each) for each in (one, two, add)] == nodes
    assert [nodes[0](), nodes[1](), nodes[2](5)] == [2, 3, 6]


def test_a_decorator_changes_what_runs_and_not_what_is_known(ns: Namespace) -> None:
    node = ns.register(add, nsref="a:add", decorate=tenfold)
    assert node(1) == 20
    assert node.method.o is add
    assert list(node.method.args_by_name) == ["a", "b"]


def test_all_are_registered_at_their_own_places(ns: Namespace) -> None:
    nodes = ns.register_all(add, later, tags=["x"], decorate=lambda fn: fn)
    assert nodes == ns.nodes()
    assert [node.nsref.name for node in ns.query("x")] == ["add", "later"]


def test_contexts_are_known_by_the_first_parameter(ns: Namespace) -> None:
    assert ns.register(with_context).dag_context_type() is Context
    assert ns.register(of_text).dag_context_type() is DagContext
    assert not ns.register(add).expects_dag_context()
    assert not ns.register(asked).expects_dag_context()


# What is refused leaves nothing behind


def configured(nsref: str, *triggers: TriggerConfig) -> NsNodeConfig:
    return NsNodeConfig(nsref=nsref, triggers=list(triggers))


TAKEN, NEW = TriggerConfig(name="taken", type="push"), TriggerConfig(name="new", type="push")
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "a place taken": (add, {"nsref": "a:taken"}, ValueError, "already exists"),
    "no cache where one is required": (costly, {}, ValueError, "@require_cache"),
    "a factory of something else": (no_dag, {}, TypeError, "must return a Dag"),
    "a path to nothing": ("json:nothing", {}, AttributeError, "nothing"),
    "one text as tags": (add, {"tags": "one"}, TypeError, "collection of texts"),
    "a tag with a space": (add, {"tags": ["a b"]}, ValueError, "tag 'a b'"),
    "two places": (add, {"nsref": "a:x", "config": configured("b:x")}, ValueError, "'a:x', and config.nsref is 'b:x'"),
    "another node's trigger": (add, {"config": configured("b:x", TAKEN)}, ValueError, "'taken' is .* for 'a:taken'"),
    "two of a name": (add, {"config": configured("b:x", NEW, NEW)}, ValueError, "'new' is .* for 'b:x'"),
    "polling without a schedule": (add, {"config": configured("b:x", TriggerConfig())}, ValueError, "needs a schedule"),
}


@pytest.mark.parametrize(("c", "said", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_leaves_nothing(
    ns: Namespace, c: Any, said: dict[str, Any], error: type[Exception], message: str
) -> None:
    ns.register(later, config=configured("a:taken", TAKEN))
    before = ns.to_dict(), [trigger.name for trigger in ns.triggers()]
    with pytest.raises(error, match=message):
        ns.register(c, **said)
    assert (ns.to_dict(), [trigger.name for trigger in ns.triggers()]) == before
    ns.register(add, nsref="b:x")
    ns.register_trigger("new", "b:x", "push")


def test_a_name_is_for_one_trigger(ns: Namespace) -> None:
    ns.register(later, config=configured("a:taken", TAKEN))
    first = ns.register_trigger("new", "c:x", "push")
    for name, of in (("taken", "a:taken"), ("new", "c:x")):
        with pytest.raises(ValueError, match=f"Trigger '{name}' is already registered, for '{of}'"):
            ns.register_trigger(name, "b:x", "push")
    assert ns.get_trigger("new").definition is first


def test_what_is_not_there_is_a_key_error(ns: Namespace) -> None:
    with pytest.raises(KeyError, match="'a:b' not found"):
        ns.get("a:b")
    with pytest.raises(KeyError, match="not found"):
        ns.get_as_dag("a:b")
    with pytest.raises(KeyError, match="Trigger 'a' not found"):
        ns.get_trigger("a")


# Tags


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("market", "ab"),
        ("slow&market", "a"),
        ("~slow", "bc"),
        ("slow | fast", "abc"),
        ("slow | fast & market", "ab"),
        ("~slow & ~fast", ""),
        ("~~slow", "a"),
        ("other", ""),
    ],
)
def test_nodes_are_found_by_their_tags(ns: Namespace, expression: str, found: str) -> None:
    for name, of in (("a", ["slow", "market"]), ("b", ["fast", "market"]), ("c", ["fast"])):
        ns.register(add, nsref=f"x:{name}", tags=of)
    assert "".join(node.nsref.name for node in ns.query(expression)) == found


@pytest.mark.parametrize("expression", ["", "  ", "&", "a &", "| a", "a b", "a ~ b", "a & | b", "~"])
def test_a_malformed_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is wanted"):
        tags.expression(expression)


@pytest.mark.parametrize("tag", ["a&b", "a|b", "~a", "a b", "a\tb", ""])
def test_a_tag_that_no_expression_can_name_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="must have no spaces"):
        tags.checked([tag])


# Triggers


def test_a_trigger_is_defined_before_its_node(ns: Namespace) -> None:
    definition = ns.register_trigger(
        name="hourly", dag_nsref="pipelines:later", trigger_type="poll", schedule="0 * * * *", poll_fn=asked
    )
    assert (definition.name, definition.dag_nsref, definition.trigger_type) == ("hourly", "pipelines:later", "poll")
    assert (definition.schedule, definition.poll_fn, definition.timezone) == ("0 * * * *", asked, "UTC")
    assert ns.get_trigger("hourly")[0] is None
    node = ns.register(later, nsref="pipelines:later")
    trigger = ns.get_trigger("hourly")
    found, config = trigger
    assert found is node
    assert (config.name, config.type, config.schedule) == ("hourly", "poll", "0 * * * *")
    assert config.poll_fn == f"{__name__}:asked"
    assert (trigger.name, trigger.dag_nsref, trigger.trigger_type) == ("hourly", "pipelines:later", "poll")
    assert (trigger.schedule, trigger.poll_fn) == ("0 * * * *", asked)
    assert ns.triggers() == [trigger]


def test_triggers_of_nodes_and_of_code_are_found_alike(ns: Namespace) -> None:
    config = NsNodeConfig(nsref="a:add", triggers=[TriggerConfig(name="of_node", schedule="@daily", payload={"a": 1})])
    node = ns.register(add, config=config)
    ns.register_trigger("of_code", "a:add", "push", payload={"a": 2})
    assert node.config is config
    assert [(each, tc.name, tc.payload) for each, tc in ns.triggers()] == [
        (node, "of_node", {"a": 1}),
        (node, "of_code", {"a": 2}),
    ]
    assert ns.get_trigger("of_node")[1] is config.triggers[0]
    assert ns.get_trigger("of_node").definition == TriggerDef(
        name="of_node", dag_nsref="a:add", trigger_type="poll", schedule="@daily", payload={"a": 1}
    )


def test_a_trigger_that_is_given_to_a_node_later_is_found(ns: Namespace) -> None:
    node = ns.register(add, nsref="a:add")
    node.config.triggers.append(TriggerConfig(schedule="* * * * *"))
    assert ns.get_trigger("add_poll")[0] is node


def test_triggers_without_names_are_named_after_their_node(ns: Namespace) -> None:
    one, push = TriggerConfig(schedule="* * * * *"), TriggerConfig(type="push")
    ns.register(add, config=NsNodeConfig(nsref="a:one", triggers=[one]))
    ns.register(add, config=NsNodeConfig(nsref="a:two", triggers=[one, push, TriggerConfig(name="x", type="push")]))
    assert [tc.name for _, tc in ns.triggers()] == ["one_poll", "two_poll_0", "two_push_1", "x"]
    assert one.name is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"schedule": "not cron"}, "must have five", id="no cron"),
        pytest.param({"schedule": "61 * * * * *"}, "'61' is out of range", id="a second that never comes"),
        pytest.param({"schedule": "* 61 * * * *"}, "'61' is out of range", id="a minute that never comes"),
        pytest.param({"schedule": "0 * * *"}, "4 fields and must have five: .* or six", id="four fields"),
        pytest.param({"schedule": "0 0 * * 7"}, r"'7' is out of range \(Sunday is 0\)", id="the Sunday of other crons"),
        pytest.param({"schedule": "0 0 30 2 *"}, "a date that never comes", id="a date that never comes"),
        pytest.param({"schedule": "0 0 0 31 4 *"}, "a date that never comes", id="a second that never comes at all"),
        pytest.param({"schedule": 5}, "schedule is 5: give a text", id="a number for a schedule"),
        pytest.param({"schedule": None}, "needs a schedule", id="no schedule"),
        pytest.param({"timezone": UTC}, "timezone is .*utc: give a text such as 'Europe/Berlin'", id="a zone object"),
        pytest.param({"dag_nsref": None}, "dag_nsref is None: give the place of a node", id="no place"),
        pytest.param({"dag_nsref": asked}, "dag_nsref is <function asked", id="a function that is not registered"),
        pytest.param({"payload": [1]}, r"payload is \[1\]: give a dict", id="a payload that is a list"),
        pytest.param({"inputs": {1: 2}}, "inputs has the key 1", id="inputs by numbers"),
        pytest.param({"poll_fn": "work"}, "poll_fn 'work' names a module", id="a module to ask"),
        pytest.param({"poll_fn": ""}, "poll_fn is '': write", id="no path to ask"),
        pytest.param({"poll_fn": divmod}, "poll_fn divmod needs x, y", id="a function that needs more"),
        pytest.param({"max_instances": 1.5}, "max_instances is 1.5: use a whole number", id="half an instance"),
        pytest.param({"max_instances": "2"}, "max_instances is '2': use a whole number", id="a text of instances"),
        pytest.param({"retries": True}, "retries is True: use a whole number", id="a flag for retries"),
        pytest.param({"timeout": "5"}, "timeout is '5': use seconds as a number", id="a text for a time-out"),
        pytest.param({"timeout": math.nan}, "timeout is nan: use seconds", id="a time-out that is no number"),
        pytest.param({"grace": math.inf}, "grace is inf: use seconds", id="endless grace"),
        pytest.param({"jitter": True}, "jitter is True: use seconds", id="a flag for jitter"),
        pytest.param({"start": "2020-01-01"}, "start is '2020-01-01': use a datetime", id="a text for the start"),
        pytest.param({"timezone": "Mars/Base"}, "time zone 'Mars/Base' is unknown", id="an unknown zone"),
        pytest.param({"trigger_type": "pull"}, "trigger_type is 'pull': use poll, push", id="an unknown type"),
        pytest.param({"overlap": "maybe"}, "overlap is 'maybe': use skip, queue, allow", id="an unknown overlap"),
        pytest.param({"misfire": "twice"}, "misfire is 'twice': use once, all, skip", id="an unknown misfire"),
        pytest.param({"trigger_type": "push", "poll_fn": asked}, "no use for poll_fn", id="a push trigger that polls"),
        pytest.param({"poll_fn": 7}, "poll_fn is 7: give a function", id="no function"),
        pytest.param({"max_instances": 0}, "max_instances is 0", id="no instances"),
        pytest.param({"retries": -1}, "retries is -1", id="negative retries"),
        pytest.param({"timeout": 0}, "timeout is 0:00:00: use more than 0", id="no time"),
        pytest.param({"grace": -1.0}, "grace is .*: use 0 seconds or more", id="negative grace"),
        pytest.param({"jitter": timedelta(-1)}, "jitter is .*: use 0 seconds or more", id="negative jitter"),
        pytest.param({"start": datetime(2026, 1, 1)}, "start .* has no time zone", id="a naive start"),  # noqa: DTZ001
        pytest.param({"start": NOW, "end": NOW - timedelta(1)}, "is before start", id="an end before its start"),
    ],
)
def test_a_wrong_trigger_is_refused_when_it_is_defined(ns: Namespace, said: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {
        "name": "hourly",
        "dag_nsref": "a:b",
        "trigger_type": "poll",
        "schedule": "0 * * * *",
        **said,
    }
    with pytest.raises(ValueError, match=f"trigger 'hourly': .*{message}"):
        ns.register_trigger(**values)
    assert ns.triggers() == []


def test_a_trigger_may_name_what_is_registered(ns: Namespace) -> None:
    node = ns.register(add, nsref="a:add")
    assert ns.register_trigger("by function", add, "push").dag_nsref == "a:add"
    assert ns.register_trigger("by node", node, "push").dag_nsref == "a:add"


def test_a_poll_function_may_have_what_needs_no_value(ns: Namespace) -> None:
    def poll(ctx: object, *rest: object, most: int = 5, **more: object) -> None: ...

    ns.register_trigger("t", "a:add", "poll", "0 * * * *", poll)


def test_a_name_of_a_trigger_is_a_text(ns: Namespace) -> None:
    name: Any = 5
    with pytest.raises(ValueError, match="has the name 5: give it a text"):
        ns.register_trigger(name, "a:b", "push")


def test_a_trigger_needs_a_name(ns: Namespace) -> None:
    with pytest.raises(ValueError, match="a trigger of 'a:b' has an empty name"):
        ns.register_trigger("", "a:b", "push")


def test_a_definition_becomes_policies_of_the_core(ns: Namespace) -> None:
    somewhere = timezone(timedelta(hours=2))
    definition = ns.register_trigger(
        "all", "a:b", "poll", "0 0 * * *", misfire="all", overlap="queue", grace=60, jitter=timedelta(seconds=5),
        timeout=1.5, start=datetime(2026, 1, 1, 2, tzinfo=somewhere), end=NOW + timedelta(days=1), inputs={"a": 1},
        timezone="Europe/Berlin", max_instances=2, retries=3,
    )  # fmt: skip
    assert definition.policies == Policies(
        overlap=Overlap.BUFFER_ALL,
        catch_up=CatchUp.ALL,
        catch_up_window=timedelta(minutes=1),
        jitter=timedelta(seconds=5),
        start=NOW,
        end=NOW + timedelta(days=1),
    )
    assert definition.timeout == timedelta(seconds=1.5)
    assert TriggerDef.from_config(definition.to_config(), "a:b") == definition


def test_nothing_said_is_one_run_at_a_time_and_one_for_what_was_missed(ns: Namespace) -> None:
    policies = ns.register_trigger("t", "a:b", "poll", "0 0 * * *").policies
    assert policies == Policies(overlap=Overlap.SKIP, catch_up=CatchUp.LATEST)


def test_a_function_is_polled_itself_or_by_its_name(ns: Namespace) -> None:
    closure = lambda: None  # noqa: E731
    live = ns.register_trigger("live", "a:b", "poll", "* * * * *", poll_fn=closure)
    named = ns.register_trigger("named", "a:b", "poll", "* * * * *", poll_fn=f"{__name__}:asked")
    assert (live.polled(), live.poll_ref) == (closure, None)
    assert (named.polled(), named.poll_ref) == (asked, GlobalRef(asked))
    assert ns.register_trigger("clock", "a:b", "poll", "* * * * *").polled() is None


@pytest.mark.parametrize("path", ["no.such.module:f", "json:nothing", "json:__name__"])
def test_a_function_that_is_not_there_is_named(ns: Namespace, path: str) -> None:
    definition = ns.register_trigger("t", "a:b", "poll", "* * * * *", poll_fn=path)
    with pytest.raises(ValueError, match=f"trigger 't': poll_fn '{path}'"):
        definition.polled()


def test_many_triggers_are_defined_in_a_moment(ns: Namespace) -> None:
    for index in range(5000):
        ns.register_trigger(f"t{index}", "a:b", "poll", "* * * * *")
    assert ns.get_trigger("t4999").name == "t4999"


# Decorators and contexts


def test_marks_say_what_a_namespace_needs() -> None:
    for mark, needs, helps in ((mountable, False, True), (mount_required, True, True), (inline, False, False)):

        @mark
        def marked() -> None: ...

        namespace = Namespace()
        assert not namespace.has_mountable
        namespace.register(marked)
        assert (namespace.requires_mount, namespace.has_mountable, namespace.is_mounted) == (needs, helps, False)


@pytest.mark.parametrize(
    "config",
    [
        NsCacheConfig(nsref="a:b", min_ttl=1, max_ttl=2),
        NsNodeConfig(nsref="a:b", triggers=[TriggerConfig(schedule="* * * * *")]),
    ],
    ids=["a cache", "a trigger"],
)
def test_what_is_kept_needs_a_mount(ns: Namespace, config: NsNodeConfig) -> None:
    ns.register(add, config=config)
    assert ns.requires_mount


def context(ns: Namespace | None) -> DagContext:
    return DagContext(dag_nsref=DagPath("a:dag"), node_label="n", run_id="r", namespace=ns)


async def test_a_context_calls_other_nodes(ns: Namespace) -> None:
    for c in (add, later, quick, partial(later, 4)):
        ns.register(c, nsref=f"a:{'partial' if isinstance(c, partial) else c.__name__}")
    ctx = context(ns)
    assert ctx.ns_call("a:add", 1, b=2) == 3
    assert [await ctx.ns_acall(nsref, 3) for nsref in ("a:add", "a:later", "a:quick")] == [4, 3, 3]
    assert await ctx.ns_acall("a:partial") == 4
    with pytest.raises(TypeError, match="'a:later' is async: use await"):
        ctx.ns_call("a:later", 1)
    with pytest.raises(RuntimeError, match="there is no namespace"):
        context(None).ns_call("a:add", 1)


async def test_inline_runs_on_the_loop_and_the_rest_beside_it(ns: Namespace) -> None:
    def loops() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    ns.register(loops, nsref="a:thread")
    ns.register(inline(lambda: loops()), nsref="a:inline")
    assert [await context(ns).ns_acall(nsref) for nsref in ("a:thread", "a:inline")] == [False, True]


def test_a_path_is_a_dag_and_the_way_into_it() -> None:
    path = DagPath("mod:dag__/chunks[0]")
    assert (path.nsref, path.path, str(path)) == ("mod:dag__", "/chunks[0]", "mod:dag__/chunks[0]")
    assert (DagPath(NsRef("a:b")).path, DagPath(path)) == ("", path)
    data = context(None).model_dump(mode="json")
    assert data == {"dag_nsref": "a:dag", "node_label": "n", "run_id": "r", "scheduled_for": None}
    assert json.loads(context(None).model_dump_json()) == data


def test_a_node_stands_alone(ns: Namespace) -> None:
    from wingbeat.compose import Method

    node = NamespaceNode(Method(add), nsref="a:b", namespace=ns, tags=["x"])
    assert (node.nsref, node.tags, node(1), repr(node)) == ("a:b", {"x"}, 2, "NamespaceNode(nsref=NsRef('a:b'))")
