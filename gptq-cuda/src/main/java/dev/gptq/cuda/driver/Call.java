package dev.gptq.cuda.driver;

/**
 * A downcall that returns a status; the single place where a method handle's checked throw ends.
 */
@FunctionalInterface
interface Call {
  /** Makes the call. */
  int invoke() throws Throwable;

  /** The status of the call. A failure of the linker itself is a bug and becomes an error. */
  static int status(String name, Call call) {
    try {
      return call.invoke();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(name + " could not be linked", e);
    }
  }
}
