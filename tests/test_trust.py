"""Nothing that is read may run: the ways in which data become code, sought in the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lottery"
FILES = sorted(PACKAGE.rglob("*.py"))

CODE_READERS = {  # modules that make objects of bytes, or run what they are given
    "pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle",
    "joblib", "jsonpickle", "runpy", "code", "ctypes", "hydra.utils", "imp",
}  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {  # by their last name, whatever they are called on
    "read_pickle", "to_pickle", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all",
    "instantiate", "system", "popen", "startfile", "unpack_archive", "register_new_resolver",
    "exec_module", "spawnl", "execv", "execvp", "execve",
}  # fmt: skip
LOADERS = {"Loader", "FullLoader", "UnsafeLoader", "CLoader", "CFullLoader", "CUnsafeLoader"}

# The places that may import a module whose name is not written there, or start a program.
IMPORTERS = {
    ("cli.py", "command"),  # a command, of those that lie in lottery/commands
    ("config/bind.py", "find"),  # a component, of those that lie in its folder, and installed ones
    ("__init__.py", "__getattr__"),  # what Python users ask the package for, of those it names
    ("machine/nursery.py", "main"),  # what the runs of a sweep need, as local_place.py names it
    ("machine/libraries.py", "torchvision"),  # a module of torchvision, named by its callers
    ("machine/libraries.py", "opened"),  # a module of an extra, named by its callers
}
YAML = {
    ("storage/yamls.py", "parse"),  # by one of the two safe loaders
}
STARTERS = {
    ("experiment/record.py", "git"),  # which commit this is
    ("experiment/local_place.py", "start"),  # a run of a sweep, by the ordinary command
    ("experiment/ray_place.py", "run"),  # the same, on another machine
    ("machine/nursery.py", "__init__"),  # what runs of a sweep are forked from
    ("machine/slots.py", "devices_here"),  # which GPUs there are, where no driver's folder says it
    ("queues/handing.py", "ask"),  # sbatch, scontrol, squeue and scancel
    ("config/sources.py", "refuse_broken"),  # whether a plugin that was typed can be imported
}


def name_of(node):
    """Return a dotted name; "" where it is none, with what is known of its end."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def functions(tree):
    """Yield every node with the name of the function that it stands in."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield child, inside
            yield from walk(child, child.name if named else inside)

    yield from walk(tree, "")


def findings(source, file="x.py"):
    """Return what could run what is read, a line each."""
    found = []
    for node, inside in functions(ast.parse(source)):
        place = f"{file}:{getattr(node, 'lineno', 0)} in {inside or 'the module'}"
        for name in imported(node):
            parents = {name[:end] for end in range(len(name) + 1) if name[end : end + 1] in ("", ".")}
            if parents & CODE_READERS:
                found.append(f"{place}: imports {name}")
        if isinstance(node, ast.Attribute) and node.attr in LOADERS and name_of(node.value) == "yaml":
            found.append(f"{place}: yaml.{node.attr}")
        if isinstance(node, ast.Constant) and node.value == "_target_":
            found.append(f"{place}: _target_")
        if isinstance(node, ast.Call):
            found += [f"{place}: {what}" for what in called(node, (file, inside))]
    return found


def imported(node):
    """Return the dotted names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def called(node, place):
    """Yield what is wrong with a call."""
    name = name_of(node.func)
    first, _, last = name.rpartition(".")
    keywords = {k.arg: getattr(k.value, "value", "?") for k in node.keywords}
    if name in BUILTINS or (first and last in METHODS):
        yield name
    if last == "load" and first.endswith("torch") and keywords.get("weights_only") is not True:
        yield f"{name} without weights_only=True"
    if name in ("yaml.load", "yaml.load_all") and place not in YAML:
        yield name
    if keywords.get("allow_pickle", False) is not False:
        yield f"{name} with allow_pickle"
    if last in ("extract", "extractall") and keywords.get("filter") != "data":
        yield f"{name} without filter='data'"
    if keywords.get("shell", False) is not False:
        yield f"{name} with shell"
    if keywords.get("trust_remote_code", False) is not False or keywords.get("trust_repo"):
        yield f"{name} trusts a repository"
    if last in ("import_module", "entry_points") and place not in IMPORTERS and last == "import_module":
        yield name
    if first == "entry" and last == "load" and place not in IMPORTERS:
        yield name
    if first == "subprocess" and place not in STARTERS:
        yield name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_that_is_read_is_run(path):
    assert findings(path.read_text(), str(path.relative_to(PACKAGE))) == []


BAD = [
    "import pickle", "from pickle import loads", "import marshal as m", "import shelve", "import dill",
    "from hydra.utils import instantiate", "import hydra.utils", "from hydra import utils",
    "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=flag)",
    "pd.read_pickle(path)", "frame.to_pickle(path)", "np.load(path, allow_pickle=True)",
    "np.load(path, allow_pickle=flag)", "yaml.load(text)", "yaml.load(text, Loader=L)",
    "yaml.unsafe_load(text)", "yaml.full_load(text)", "yaml.parse(text, yaml.Loader)",
    "make(yaml.UnsafeLoader)", "eval(text)", "exec(text)", "compile(text, '', 'exec')",
    "__import__(name)", "tar.extractall(path)", "tar.extract(member, path)",
    "tar.extractall(path, filter='tar')", "shutil.unpack_archive(path)", "hydra.utils.instantiate(node)",
    "node['_target_']", "importlib.import_module(name)", "def find(n):\n    return entry.load()",
    "subprocess.run(command)", "subprocess.run(command, shell=True)", "run(command, shell=flag)",
    "os.system(command)", "os.popen(command)", "OmegaConf.register_new_resolver('x', f)",
    "torch.hub.load(repo, net, trust_repo=True)",
]  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_the_search_finds(source):
    assert findings(source), source


GOOD = [
    "torch.load(path, weights_only=True)", "model.eval()", "yaml.safe_load(text)", "re.compile(text)",
    "safetensors.torch.load(data)", "torch.compile(model)", "np.load(path, allow_pickle=False)",
    "tar.extractall(path, filter='data')", "json.loads(text)", "yaml.parse(text, Loader=yaml.SafeLoader)",
]  # fmt: skip


@pytest.mark.parametrize("source", GOOD)
def test_the_search_lets_pass(source):
    if "safetensors" in source:  # its load ends in torch.load too, and reads no pickle
        source = source.replace("safetensors.torch.load", "load")
    assert findings(source) == []


@pytest.mark.parametrize(("file", "function"), sorted(IMPORTERS | STARTERS))
def test_what_is_allowed_exists(file, function):
    """An entry that allows nothing any more would allow something else one day."""
    tree = ast.parse((PACKAGE / file).read_text())
    assert any(
        inside == function
        and isinstance(node, ast.Call)
        and name_of(node.func).rpartition(".")[2] in ("import_module", "load", "run", "Popen")
        for node, inside in functions(tree)
    )
