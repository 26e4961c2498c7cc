package dev.gptq.testkit;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.QuantizationOps;
import dev.gptq.backend.TransformerOps;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.TensorScope;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Set;

/**
 * The reference backend with one method of one of its interfaces replaced.
 *
 * @param method name of the method, of any interface that a backend hands out
 */
record Interceptor(String method, Replacement replacement) implements BackendProvider {

  private static final Set<Class<?>> WRAPPED =
      Set.of(
          LinearAlgebra.class,
          QuantizationOps.class,
          PackedMatmul.class,
          TransformerOps.class,
          TensorScope.class);

  /** What happens instead of the method. */
  @FunctionalInterface
  interface Replacement {
    /**
     * Runs instead of the method.
     *
     * @param target what the method was called on
     * @param backend the backend without the replacement
     */
    Object call(Object target, Backend backend, Original original, Object[] arguments);
  }

  /** The method itself. */
  @FunctionalInterface
  interface Original {
    Object call(Object... arguments);
  }

  @Override
  public String name() {
    return "reference";
  }

  @Override
  public Availability probe(BackendOptions options) {
    return new ReferenceBackendProvider().probe(options);
  }

  @Override
  public Backend open(BackendOptions options) {
    Backend backend = new ReferenceBackendProvider().open(options);
    return (Backend) wrap(Backend.class, backend, backend);
  }

  private Object wrap(Class<?> type, Object target, Backend backend) {
    return Proxy.newProxyInstance(
        type.getClassLoader(),
        new Class<?>[] {type},
        (proxy, called, arguments) -> {
          if (called.getName().equals(method)) {
            return replacement.call(
                target, backend, values -> invoke(called, target, values), arguments);
          }
          Object result = invoke(called, target, arguments);
          return WRAPPED.contains(called.getReturnType())
              ? wrap(called.getReturnType(), result, backend)
              : result;
        });
  }

  private static Object invoke(Method method, Object target, Object[] arguments) {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e);
    } catch (IllegalAccessException e) {
      throw new IllegalStateException(e);
    }
  }
}
