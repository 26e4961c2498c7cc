package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.TestInstance;

/**
 * Opens the backend under test and the reference backend, its oracle. A backend that cannot run
 * here is skipped with the reason its probe gives; {@code -Dgptq.test.require=NAME}, set where the
 * device is known to exist, makes that a failure.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class Conformance {
  private Backend backend;
  private Backend oracle;
  private Inputs inputs;

  /** For subclasses. */
  protected Conformance() {}

  /** The backend to test. */
  protected abstract BackendUnderTest backendUnderTest();

  @BeforeAll
  final void open() {
    backend = openUnderTest();
    oracle = new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  }

  @BeforeEach
  final void seed(TestInfo test) {
    inputs = new Inputs(test.getTestMethod().orElseThrow().getName());
  }

  @AfterAll
  final void close() {
    if (backend != null) {
      assertThat(backend.memory().live()).as("live bytes after all tests").isZero();
      backend.close();
      oracle.close();
    }
  }

  /** A further instance of the backend under test. */
  final Backend openUnderTest() {
    BackendUnderTest subject = backendUnderTest();
    String name = subject.provider().name();
    if (subject.provider().probe(subject.options()) instanceof Availability.Unavailable why) {
      String message = "backend " + name + ": " + why.reason() + ". " + why.remedy();
      if (name.equals(System.getProperty("gptq.test.require"))) {
        Assertions.fail(message);
      }
      Assumptions.abort(message);
    }
    return new CheckedBackend(subject.provider().open(subject.options()));
  }

  final Backend backend() {
    return backend;
  }

  final Inputs inputs() {
    return inputs;
  }

  /** The type of activations of the backend under test. */
  final DType activation() {
    return backend.activationType();
  }

  /** A call of an operation, to be completed with its arguments. */
  final Operation operation(String label) {
    return new Operation(label, backend, oracle, false);
  }

  /** The same for an operation on activations: the oracle gets them as float32. */
  final Operation activations(String label) {
    return new Operation(label, backend, oracle, true);
  }
}
