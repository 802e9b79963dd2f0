"""The fused kernel: how it is compiled and chosen, and Meta-Weight-Net's step in C against torch and autograd."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from bench.errors import BadKernel, BadSetting
from bench.methods import method
from bench.methods.meta_weight_net import WeightNets, reweighted_gradient
from bench.networks import selfcheck, streams
from bench.networks.compiled import compiler
from bench.networks.compiled import kernel as module
from bench.networks.compiled.compiler import NoCompiler, library
from bench.networks.compiled.kernel import _kernel, engine, kernel
from bench.networks.optimisers import OPTIMISERS
from bench.networks.tensors import Batch
from tests.conftest import by_both, one_network, random_masks, random_networks, relative_distance, steps_by

CC = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(CC is None, reason="no C compiler (cc, gcc)")
LIKE = torch.empty(0)


def forget():
    """Let the next call look for its compiler and its library again."""
    module._distrusted.clear()
    for cached in (library, _kernel, module._loaded, selfcheck._fault):
        cached.cache_clear()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Give the test a cache folder without libraries, and no compiler but the usual."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("BENCH_KERNEL", raising=False)
    forget()
    yield tmp_path
    forget()


def script(folder, before=""):
    """Return the path of a compiler that runs these lines of shell first, and then compiles in a hurry."""
    path = folder / "compiler"
    path.write_text(f'#!/bin/sh\n{before}\nexec {CC} "$@" -O0\n')
    path.chmod(0o755)
    return str(path)


def libraries(folder):
    found = sorted((folder / "cache" / "kernel").iterdir())
    assert [path for path in found if path.suffix == ".sha256"] == [
        p.with_suffix(".sha256") for p in found[1::2]
    ]
    return [path.name for path in found if path.suffix != ".sha256"]


NO_COMPILER = {  # value of CC, and what the reason names
    "fails": ("false", "false failed"),
    "is-not-there": ("/nowhere/cc", "/nowhere/cc"),
    "makes-nothing": ("true", "No such file"),
    "cannot-be-run": ("/", "/"),
    "is-no-command": ('cc "', "CC|quotation"),
}


@pytest.mark.parametrize("case", NO_COMPILER)
def test_a_compiler_that_makes_no_library_leaves_the_steps_to_torch(case, fresh, monkeypatch):
    """Where the setting is on, it is an error that says why."""
    program, reason = NO_COMPILER[case]
    monkeypatch.setenv("CC", program)
    with pytest.raises(NoCompiler, match=reason):
        library("float")
    assert kernel(LIKE) is None
    assert engine("cpu") == "torch"
    monkeypatch.setenv("BENCH_KERNEL", "on")
    with pytest.raises(BadSetting, match=reason):
        kernel(LIKE)


def test_without_any_compiler_the_reason_says_so(fresh, monkeypatch):
    monkeypatch.setenv("PATH", str(fresh))
    with pytest.raises(NoCompiler, match="no C compiler"):
        library("double")


def test_there_is_no_kernel_for_windows(fresh, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NoCompiler, match="Windows"):
        library("float")


@pytest.mark.parametrize("value", ["", "yes", "ON", "1"])
def test_a_setting_that_is_none_of_the_three_is_refused(value, monkeypatch):
    monkeypatch.setenv("BENCH_KERNEL", value)
    with pytest.raises(BadSetting, match=f"BENCH_KERNEL={value}: auto"):
        kernel(LIKE)


@needs_compiler
def test_the_setting_chooses_the_engine(monkeypatch):
    monkeypatch.setenv("BENCH_KERNEL", "auto")
    assert engine("cpu") == "c"
    monkeypatch.setenv("BENCH_KERNEL", "off")
    assert engine("cpu") == "torch"
    monkeypatch.setenv("BENCH_KERNEL", "on")
    assert engine("cpu") == "c"


@needs_compiler
def test_other_dtypes_and_devices_are_left_to_torch():
    with steps_by("c"):
        for dtype in (torch.float16, torch.bfloat16, torch.int64):
            assert kernel(torch.empty(0, dtype=dtype)) is None
        assert kernel(torch.empty(0, device="meta")) is None


@needs_compiler
def test_a_library_is_compiled_once_and_named_by_what_made_it(fresh, monkeypatch):
    """Each dtype has its own, and so has each set of flags; a second process runs the compiler no more."""
    log = fresh / "log"
    monkeypatch.setenv("CC", script(fresh, f'echo "$@" >> {log}'))

    def runs():
        return [line for line in log.read_text().splitlines() if line != "--version"]

    made = {real: library(real) for real in ("float", "double")}
    assert len(runs()) == 2
    forget()
    assert {real: library(real) for real in made} == made
    assert len(runs()) == 2
    assert libraries(fresh) == sorted(path.name for path in made.values())
    forget()
    monkeypatch.setenv("CC", f"{os.environ['CC']} -DOTHER")
    assert library("float") not in made.values()
    assert len(runs()) == 3


@needs_compiler
def test_another_source_is_another_library(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh))
    first = library("float")
    changed = fresh / "kernel.c"
    changed.write_text(compiler.SOURCE.read_text() + "\n/* changed */\n")
    monkeypatch.setattr(compiler, "SOURCE", changed)
    forget()
    assert library("float") != first


@needs_compiler
def test_a_compiler_that_does_not_know_the_machine_compiles_without(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh, 'case "$*" in *-march=native*) exit 1;; esac'))
    assert ctypes.CDLL(str(library("float"))).loss_gradient
    assert engine("cpu") == "c"


@needs_compiler
def test_a_source_that_does_not_compile_is_reported_with_the_compilers_words(fresh, monkeypatch):
    broken = fresh / "kernel.c"
    broken.write_text("int loss_gradient(int K { return 0; }\n")
    monkeypatch.setattr(compiler, "SOURCE", broken)
    with pytest.raises(NoCompiler, match=r"failed: .*kernel\.c:1:.*error"):
        library("float")
    assert libraries(fresh) == []


@needs_compiler
def test_two_processes_that_compile_at_once_end_with_one_good_library(fresh):
    """Each compiler waits until both have begun. The module is run by path: its package would import torch."""
    wait = f"""case "$*" in --version) exit;; esac
touch {fresh}/begun-$$
n=0
while [ "$(ls {fresh} | grep -c begun)" -lt 2 ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n + 1)); done"""
    code = f"import runpy; print(runpy.run_path({compiler.__file__!r})['library']('float'))"
    command, variables = [sys.executable, "-c", code], os.environ | {"CC": script(fresh, wait)}
    running = [subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=100)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(list(fresh.glob("begun-*"))) == 2
    assert printed[0] == printed[1]
    assert libraries(fresh) == [Path(printed[0]).name]
    assert ctypes.CDLL(printed[0]).meta_gradient


@needs_compiler
@pytest.mark.parametrize("native", [["-march=native"], []], ids=["native", "plain"])
@pytest.mark.parametrize("real", ["float", "double"])
def test_the_source_compiles_without_a_warning(real, native, tmp_path):
    flags = [*compiler._FLAGS, "-Wall", "-Wextra", "-Werror", f"-DREAL={real}", *native]
    command = [CC, *flags, str(compiler.SOURCE), "-o", str(tmp_path / "kernel.so"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("w[i] = scale * from->wt[l][i];", "w[i] = -scale * from->wt[l][i];"),
        ("parameter[i] -= lr[k] * (g + momentum[k] * velocity[i]);", "parameter[i] -= lr[k] * g;"),
        ("if (high) key = mix(key + mix(high));", ";"),
        ("if (++place == length)", "if (++place == size)"),
    ],
    ids=["gradient", "optimiser", "dropout", "rows"],
)
def test_a_kernel_that_computes_something_else_is_not_used(right, wrong, dtype, fresh, monkeypatch, caplog):
    """A compiler may be wrong; here the source is. Where the kernel is insisted on, that is an error."""
    monkeypatch.setenv("CC", script(fresh))
    selfcheck.try_kernel(torch.empty(0, dtype=dtype))
    source = compiler.SOURCE.read_text()
    assert right in source
    path = fresh / "kernel.c"
    path.write_text(source.replace(right, wrong))
    monkeypatch.setattr(compiler, "SOURCE", path)
    like = torch.empty(0, dtype=dtype)
    forget()
    monkeypatch.setenv("BENCH_KERNEL", "on")
    with pytest.raises(BadKernel, match="differs from torch's"):
        selfcheck.try_kernel(like)
    monkeypatch.setenv("BENCH_KERNEL", "auto")
    selfcheck.try_kernel(like)
    assert "differs from torch's" in caplog.text
    assert kernel(like) is None
    forget()
    monkeypatch.setenv("BENCH_KERNEL", "off")
    selfcheck.try_kernel(like)


@needs_compiler
@pytest.mark.parametrize("torn", [lambda whole: b"", lambda whole: b"no library", lambda whole: whole[:8000]])
def test_a_damaged_library_is_compiled_anew(torn, fresh, monkeypatch):
    """One cut short would kill whoever loads it."""
    monkeypatch.setenv("CC", script(fresh))
    path = library("float")
    whole = path.read_bytes()
    path.write_bytes(torn(whole))
    forget()
    assert engine("cpu") == "c"
    assert len(path.read_bytes()) == len(whole)


@needs_compiler
def test_a_library_without_our_functions_leaves_the_steps_to_torch(fresh, monkeypatch):
    program = fresh / "compiler"
    program.write_text(
        f'#!/bin/sh\nfor word; do [ "$before" = -o ] && out=$word; before=$word; done\n'
        f'echo "int x;" | {CC} -shared -fPIC -o "$out" -xc -\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    assert engine("cpu") == "torch"
    assert "sgd_step" in module.why_torch()


@needs_compiler
@pytest.mark.parametrize(("hidden", "rows"), [(32, 2**27 + 1), (65536, 65537)])
def test_a_step_that_no_memory_holds_is_told_before_it_is_begun(hidden, rows):
    """Its places are more than the kernel counts; views of one number stand for what nobody has."""
    one = torch.zeros(1)
    parameters = [one.expand(1, 2, hidden), one.expand(1, hidden), one.expand(1, hidden, 1), one.expand(1, 1)]
    batch = Batch(one.expand(1, 2), one, one.long().expand(1, rows), (1, rows))
    with steps_by("c"), pytest.raises(MemoryError, match="no memory"):
        kernel(LIKE).meta_gradient(
            parameters,
            batch,
            batch,
            pairs=1,
            inner_lr=one,
            inner_weight=one,
            order=2,
            inner_keep=None,
            outer_keep=None,
        )


@needs_compiler
def test_a_library_that_never_loads_leaves_the_steps_to_torch_and_says_why(fresh, monkeypatch):
    """The compiler makes a file that is no library."""
    program = fresh / "compiler"
    program.write_text(
        '#!/bin/sh\nfor word; do [ "$before" = -o ] && echo none > "$word"; before=$word; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    assert engine("cpu") == "torch"
    assert module.why_torch() != "BENCH_KERNEL=off"
    assert ".so" in module.why_torch()
    monkeypatch.setenv("BENCH_KERNEL", "on")
    with pytest.raises(BadSetting, match="cannot be had"):
        kernel(LIKE)


@needs_compiler
@pytest.mark.parametrize("K", [1, 2, 3])
def test_no_result_is_taken_for_a_lack_of_memory(K, fresh, monkeypatch):
    """Functions that return nothing leave anything where a result would be: here, their last loop's counter."""
    monkeypatch.setenv("CC", script(fresh))
    monkeypatch.setenv("BENCH_KERNEL", "on")
    keys, sizes, rates = torch.arange(K), torch.full((K,), 5), torch.full((K,), 0.5)
    assert streams.rows(keys, sizes, 0, 7).shape == streams.dropout(keys, rates, 0, 7).shape == (K, 7)
    for kind in OPTIMISERS.values():
        parameters = [torch.ones(K, 3)]
        kind(lr=rates, weight_decay=rates, momentum=rates).step(parameters, [torch.ones(K, 3)])
        assert (parameters[0] < 1).all()


# Meta-Weight-Net's step: the kernel's only function with state, so its state is compared as well.

SIZES = [(3, 1), (1, 1, 1), (13, 7, 1), (9, 16, 24, 20, 1), (33, 65, 1), (5, *[6] * 15, 1)]
NETS = [
    {"weight_lr": 0.05, "inner_lr": 0.3},
    {"weight_lr": 0.001, "inner_lr": 2.0, "weight_weight_decay": 0.0},
    {"weight_lr": 0.2, "inner_lr": 0.01, "weight_weight_decay": 1.0},
]


@cache
def mwn_problem(sizes, *, B=24, B_meta=17, hidden=9, dropout=False, dtype=torch.float64):
    """Return parameters, batch, meta batch, configurations, α and dropout's factors of three members."""
    parameters, g = random_networks(sizes, len(NETS))

    def batch(count):
        X = torch.randn(40, sizes[0], generator=g, dtype=torch.float64).to(dtype)
        y = (torch.rand(40, generator=g) < 0.4).to(dtype)
        rows = torch.randint(0, 40, (len(NETS), count), generator=g)
        return Batch(X, y, rows, tuple(rows.shape))

    configs = [method("meta-weight-net").config(weight_hidden=hidden, **each) for each in NETS]
    alpha = torch.tensor([config.inner_lr for config in configs], dtype=dtype)
    keep = [random_masks(sizes, (len(NETS), n), g) if dropout else None for n in (B, B_meta)]
    keep = [None if of is None else [factor.to(dtype) for factor in of] for of in keep]
    return [p.to(dtype) for p in parameters], batch(B), batch(B_meta), configs, alpha, keep


def mwn_steps(given, steps=4):
    """Return the gradients of some steps, in which only the weight nets change, and those nets."""
    parameters, batch, meta, configs, alpha, keep = given
    nets = WeightNets(configs, [0, 1, 2], alpha)
    found = [
        reweighted_gradient(parameters, batch, meta, nets, inner_lr=alpha, keep=keep) for _ in range(steps)
    ]
    return found, nets


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_engines_step_the_weight_nets_alike(sizes, dropout):
    """Gradients, weight nets and Adam's moments, over four steps; in float32 the gradient of the first."""
    (fused, mine), (plain, theirs) = by_both(lambda: mwn_steps(mwn_problem(sizes, dropout=dropout)))
    for a, b in zip(fused, plain, strict=True):
        assert relative_distance(a, b) <= 1e-12
    for state in ("phi", "mean", "square"):
        a, b = (getattr(nets if state == "phi" else nets.adam, state) for nets in (mine, theirs))
        assert relative_distance(a, b) <= 1e-11
    assert torch.equal(mine.adam.powers, theirs.adam.powers)
    single = mwn_problem(sizes, dropout=dropout, dtype=torch.float32)
    (fused, _), (plain, _) = by_both(lambda: mwn_steps(single, 1))
    assert relative_distance(fused[0], plain[0]) <= 1e-5


@pytest.mark.parametrize("hidden", [1, 2, 3, 4, 5, 7, 8, 13, 31, 100])
def test_the_engines_agree_for_every_width_of_the_weight_net(hidden):
    (fused, mine), (plain, theirs) = by_both(lambda: mwn_steps(mwn_problem((13, 7, 1), hidden=hidden)))
    assert relative_distance(fused[-1], plain[-1]) <= 1e-12
    assert relative_distance(mine.phi, theirs.phi) <= 1e-12


@pytest.mark.parametrize(("B", "B_meta"), [(1, 1), (1, 9), (7, 1), (33, 64), (64, 33)])
def test_the_engines_agree_for_every_size_of_batch(B, B_meta):
    (fused, mine), (plain, theirs) = by_both(lambda: mwn_steps(mwn_problem((13, 7, 1), B=B, B_meta=B_meta)))
    assert relative_distance(fused[-1], plain[-1]) <= 1e-12
    assert relative_distance(mine.phi, theirs.phi) <= 1e-12


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize("sizes", SIZES[:5], ids=str)
def test_the_step_equals_autograd_through_the_virtual_step(sizes, dropout, engine):
    """Member by member: the weight net after AdamW, and the gradient of the loss that it re-weights."""
    given = mwn_problem(sizes, dropout=dropout)
    (gradients, *_), nets = mwn_steps(given, 1)
    parameters, batch, meta, configs, alpha, keep = given
    start = WeightNets(configs, [0, 1, 2], alpha).phi

    def losses(leaves, of, k, factors):
        z = one_network(leaves, of.features()[k], None if factors is None else [m[k] for m in factors])
        return torch.nn.functional.binary_cross_entropy_with_logits(z, of.labels()[k], reduction="none")

    for k, config in enumerate(configs):
        leaves = [p[k].clone().requires_grad_() for p in parameters]
        phi = [torch.nn.Parameter(p[k].clone()) for p in start]
        adam = torch.optim.AdamW(phi, config.weight_lr, weight_decay=config.weight_weight_decay)
        rows = losses(leaves, batch, k, keep[0])
        V = torch.sigmoid(one_network(phi, rows.detach()[:, None]))
        slopes = torch.autograd.grad((V * rows).mean(), leaves, create_graph=True)
        ahead = [leaf - alpha[k] * slope for leaf, slope in zip(leaves, slopes, strict=True)]
        losses(ahead, meta, k, keep[1]).mean().backward(inputs=phi)
        adam.step()
        for mine, theirs in zip(nets.phi, phi, strict=True):
            torch.testing.assert_close(mine[k], theirs.detach(), rtol=1e-9, atol=1e-11)
        V = torch.sigmoid(one_network(phi, rows.detach()[:, None])).detach()
        expected = torch.autograd.grad((V / V.sum() * losses(leaves, batch, k, keep[0])).sum(), leaves)
        for mine, theirs in zip(gradients, expected, strict=True):
            torch.testing.assert_close(mine[k], theirs, rtol=1e-9, atol=1e-11)


def test_the_weight_nets_keep_their_storage(engine):
    """A captured step goes on writing where it wrote."""
    given = mwn_problem((13, 7, 1), dropout=True)
    parameters, batch, meta, configs, alpha, keep = given
    nets = WeightNets(configs, [0, 1, 2], alpha)
    places = []
    for _ in range(3):
        reweighted_gradient(parameters, batch, meta, nets, inner_lr=alpha, keep=keep)
        state = [*nets.phi, *nets.adam.mean, *nets.adam.square, nets.adam.powers]
        places.append([tensor.data_ptr() for tensor in state])
    assert places[0] == places[1] == places[2]


def test_weight_nets_that_are_kept_go_on_as_if_nothing_had_happened(engine):
    """In another order, and with Adam's moments and step count."""
    parameters, batch, meta, configs, alpha, _ = mwn_problem((13, 7, 1))
    all_of_them, kept = (WeightNets(configs, [0, 1, 2], alpha) for _ in range(2))
    for nets in (all_of_them, kept):
        for _ in range(3):
            reweighted_gradient(parameters, batch, meta, nets, inner_lr=alpha)
    at = [2, 0]
    kept.keep(at)
    some = [Batch(of.X, of.y, of.rows[at], (2, of.shape[1])) for of in (batch, meta)]
    expected = reweighted_gradient(parameters, batch, meta, all_of_them, inner_lr=alpha)
    found = reweighted_gradient([p[at] for p in parameters], *some, kept, inner_lr=alpha[at])
    for mine, theirs in ((found, expected), (kept.phi, all_of_them.phi)):
        assert relative_distance(mine, [of[at] for of in theirs]) <= 1e-13
