// The interpreter's lock. While the interpreter ends, Python before 3.14 unwinds other threads that ask for
// it, which would run destructors without the lock and end the process at a noexcept one. Such a thread stays
// where it is instead, as later versions of Python let it.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

namespace tidu::python {

// How many threads compute without the lock, and whether this one does.
inline std::atomic<int> num_computing{0};
inline thread_local bool is_computing = false;

// At the end of the process, when the libraries that they compute with take leave.
inline void wait_for_computations() {
  constexpr std::chrono::seconds kPatience{10};
  const auto begin = std::chrono::steady_clock::now();
  while (num_computing > 0 && std::chrono::steady_clock::now() - begin < kPatience) std::this_thread::yield();
}

[[noreturn]] inline PyGILState_STATE stay_for_ever() {
  num_computing -= std::exchange(is_computing, false);
  for (;;) ::pause();
}

// Runs `body`, in which Python may let go of the lock and take it again.
template <class F> decltype(auto) in_python(F&& body) {
  try {
    return body();
  } catch (const abi::__forced_unwind&) { stay_for_ever(); }
}

inline bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}

// Holds the lock in its scope, on any thread.
class WithLock {
 public:
  WithLock()
      : state_(in_python([] {
          const bool too_late = !Py_IsInitialized() || (is_finalizing() && !PyGILState_Check());
          return too_late ? stay_for_ever() : PyGILState_Ensure();
        })) {}
  ~WithLock() { PyGILState_Release(state_); }
  WithLock(const WithLock&) = delete;

 private:
  PyGILState_STATE state_;
};

inline PyThreadState* release_lock() {
  is_computing = true;
  ++num_computing;
  return PyEval_SaveThread();
}
inline void acquire_lock(PyThreadState* thread) {
  in_python([&] { PyEval_RestoreThread(thread); });
  --num_computing;
  is_computing = false;
}

// Lets go of the lock in its scope, on a thread that holds it.
class WithoutLock {
 public:
  WithoutLock() : thread_(release_lock()) {}
  ~WithoutLock() { acquire_lock(thread_); }
  WithoutLock(const WithoutLock&) = delete;

 private:
  PyThreadState* thread_;
};

// Throws what a handler of Python's raises for a signal that has come, such as KeyboardInterrupt. Every few
// milliseconds other threads get their turn, as between instructions of Python. That is less often than they
// ask for it (sys.getswitchinterval(), 5 ms): only to those that have asked does Python give the lock for
// sure, and one that is woken earlier without getting it begins to wait anew.
inline void answer_signals() {
  constexpr std::chrono::milliseconds kTurn{12};
  static thread_local auto last_turn = std::chrono::steady_clock::now();
  const WithLock locked;
  if (const auto now = std::chrono::steady_clock::now(); now - last_turn > kTurn) {
    const WithoutLock unlocked;
    last_turn = now;
  }
  if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
}

// Runs `body`, which is Python's or calls into Python, from a destructor: on any thread, with or without the
// lock, and while an exception may be on its way.
template <class F> void from_destructor(F&& body) noexcept {
  if (!Py_IsInitialized()) return;
  const WithLock locked;
  const pybind11::error_scope pending;
  in_python(std::forward<F>(body));
}

// A Python object that C++ may hold on to and drop on any thread, with or without the lock.
inline std::shared_ptr<PyObject> keep(PyObject* object) {
  return std::shared_ptr<PyObject>(Py_NewRef(object),
                                   [](PyObject* held) { from_destructor([&] { Py_DECREF(held); }); });
}

}  // namespace tidu::python
