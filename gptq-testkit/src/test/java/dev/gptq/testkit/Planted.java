package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod;

import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** Runs a test of the kit against the reference backend with a defect planted in it. */
final class Planted {
  // The launcher makes the instances of the test classes, so the defect cannot be a field of one.
  private static Interceptor defect;

  private Planted() {}

  static final class Tensors extends TensorConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class LinearAlgebra extends LinearAlgebraConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class Quantization extends QuantizationConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class PackedMatmul extends PackedMatmulConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class Attention extends AttentionConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class Transformer extends TransformerConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class Lifetime extends LifetimeConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  static final class Gptq extends GptqConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(defect);
    }
  }

  /** Asserts that the test passes. */
  static void assertPasses(Class<? extends Conformance> kit, String test, Interceptor planted) {
    TestExecutionSummary summary = run(kit, test, planted);
    assertThat(summary.getFailures()).isEmpty();
    assertThat(summary.getTestsSucceededCount()).isEqualTo(1);
  }

  /** Asserts that all tests of a class pass. */
  static void assertAllPass(Class<? extends Conformance> kit, Interceptor planted) {
    TestExecutionSummary summary = run(selectClass(kit), planted);
    assertThat(summary.getFailures()).isEmpty();
    assertThat(summary.getTestsSucceededCount()).isGreaterThan(1);
  }

  /** Asserts that the test fails with a message that contains {@code finding}. */
  static void assertFound(
      Class<? extends Conformance> kit, String test, String finding, Interceptor planted) {
    TestExecutionSummary summary = run(kit, test, planted);
    assertThat(summary.getTestsFailedCount()).as(test + " fails").isEqualTo(1);
    assertThat(summary.getFailures().getFirst().getException())
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining(finding);
  }

  private static TestExecutionSummary run(
      Class<? extends Conformance> kit, String test, Interceptor planted) {
    TestExecutionSummary summary = run(selectMethod(kit, test), planted);
    assertThat(summary.getTestsFoundCount()).as("tests found").isEqualTo(1);
    return summary;
  }

  private static TestExecutionSummary run(DiscoverySelector selector, Interceptor planted) {
    defect = planted;
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    LauncherFactory.create()
        .execute(LauncherDiscoveryRequestBuilder.request().selectors(selector).build(), listener);
    return listener.getSummary();
  }
}
