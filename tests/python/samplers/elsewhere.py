"""What has no reference of this kind: which file tests it, by what name."""

ELSEWHERE = {
    "random_bits": ("python/test_random.py", "random.bits"),
    "random_uniform": ("python/test_random.py", "random.uniform"),
    "random_normal": ("python/test_random.py", "random.normal"),
    "random_permutation": ("python/test_random.py", "random.permutation"),
    "custom_vjp": ("python/test_program.py", "custom_vjp"),
    "custom_jvp": ("python/test_program.py", "custom_jvp"),
    "sgd_update": ("kernels/update_test.cpp", "sgd"),
    "adam_update": ("kernels/update_test.cpp", "adam"),
    "rmsprop_update": ("kernels/update_test.cpp", "rmsprop"),
}
