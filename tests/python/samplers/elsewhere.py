"""What has no reference of this kind: which file tests it, by what name."""

ELSEWHERE = {
    "random_bits": ("python/test_random.py", "random.bits"),
    "random_uniform": ("python/test_random.py", "random.uniform"),
    "random_normal": ("python/test_random.py", "random.normal"),
    "random_permutation": ("python/test_random.py", "random.permutation"),
    "scan": ("python/test_control.py", "scan"),
    "cond": ("python/test_control.py", "cond"),
    "while_loop": ("python/test_control.py", "while_loop"),
    "checkpoint": ("python/test_control.py", "checkpoint"),
    "pure_callback": ("python/test_callback.py", "pure_callback"),
    "debug_callback": ("python/test_callback.py", "debug.callback"),
    "overwritten": ("python/test_compile_like_eager.py", "no_grad"),
    "linear_solve": ("python/test_implicit.py", "custom_linear_solve"),
    "root": ("python/test_implicit.py", "custom_root"),
    "ode_steps": ("python/test_odeint.py", "odeint"),
    "ode_adjoint": ("python/test_odeint.py", "odeint"),
    "custom_vjp": ("python/test_program.py", "custom_vjp"),
    "custom_jvp": ("python/test_program.py", "custom_jvp"),
    "sgd_update": ("kernels/update_test.cpp", "sgd"),
    "adam_update": ("kernels/update_test.cpp", "adam"),
    "rmsprop_update": ("kernels/update_test.cpp", "rmsprop"),
}
