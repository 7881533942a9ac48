"""The lint of CUDA sources: each thing that it refuses, and what it must let through."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "scripts/check_cuda.py"
spec = importlib.util.spec_from_file_location("check_cuda", PATH)
check_cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_cuda)


def faults(text):
    return list(check_cuda.faults_of("k.cu", text))


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("kernel<<<grid, block>>>(p);", "launch<kernel>"),
        ("__shared__ float tile[32][33];", "TIDU_SHARED"),
        ("extern __shared__ float buffer[];", "TIDU_DYNAMIC_SHARED"),
        ("float4 v = *reinterpret_cast<const float4*>(p);", "load_vec"),
        ("int2 v = *(const int2*)p;", "load_vec"),
        ("auto v = *reinterpret_cast<const Vec<float, 4>*>(p);", "load_vec"),
        ("cudaMallocManaged(&p, n);", "managed"),
        ("__managed__ int counter;", "managed"),
        ("atomicAdd(&sum, static_cast<float>(x));", "fixed tree"),
        ("atomicAdd(sum, 1.0f);", "fixed tree"),
        ("x += __shfl_down(x, 16);", "_sync"),
        ("if (__any(x > 0)) return;", "_sync"),
        ("volatile float* s = shared;", "__syncwarp"),
        ("__syncwarp(__activemask());", "mask"),
        ("namespace cg = cooperative_groups;", "cooperative groups"),
        ("y = __expf(x);", "accurate"),
        ('asm("mov.u32 %0, %laneid;" : "=r"(lane));', "twin"),
    ],
)
def test_refused(line, remedy):
    found = faults(f"int before;\n{line}\n")
    assert len(found) == 1
    assert found[0].startswith("k.cu:2: ") and remedy in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "launch<kernel<T>>({blocks, threads, 0, stream}, p);",
        "TIDU_SHARED(tile, float[32][33]);",
        "const auto v = load_vec<4>(p);",
        "auto* words = reinterpret_cast<const uint32_t*>(p);",
        "atomicAdd(&counts[bucket], 1);",
        "atomicCAS(&fault->kind, 0, kind);",
        "x += __shfl_down_sync(kFullMask, x, 16);",
        "y = expf(x);",
        "// __shared__ float x; asm <<<",
        'const char* text = "<<<";',
        '#ifdef __CUDA_ARCH__\nasm("brev" : );\n#else\nreverse();\n#endif',
    ],
)
def test_let_through(text):
    assert faults(text) == []


def test_assembly_needs_the_other_branch():
    assert len(faults('#ifdef __CUDA_ARCH__\nasm("brev" : );\n#endif\n')) == 1


def test_the_sources_keep_to_it():
    assert check_cuda.check() == []
