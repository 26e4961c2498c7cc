package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Unsupported is not passed: a missing device skips with its reason, or fails where required. */
final class RequirementTest {
  private static final String PROPERTY = "gptq.test.require";

  private final String before = System.getProperty(PROPERTY);

  private record Missing() implements BackendProvider {
    @Override
    public String name() {
      return "missing";
    }

    @Override
    public Availability probe(BackendOptions options) {
      return new Availability.Unavailable("no device was found", "Plug one in.");
    }

    @Override
    public Backend open(BackendOptions options) {
      throw new AssertionError("an unavailable backend was opened");
    }
  }

  static final class OfMissing extends TensorConformance {
    @Override
    protected BackendUnderTest backendUnderTest() {
      return BackendUnderTest.of(new Missing());
    }
  }

  /** What became of the class, and whether one of its tests ran. */
  private static final class Outcome implements TestExecutionListener {
    private TestExecutionResult ofClass;
    private boolean testRan;

    @Override
    public void executionFinished(TestIdentifier identifier, TestExecutionResult result) {
      testRan |= identifier.isTest();
      if (identifier.getDisplayName().contains(OfMissing.class.getSimpleName())) {
        ofClass = result;
      }
    }
  }

  private static Outcome run() {
    Outcome outcome = new Outcome();
    LauncherFactory.create()
        .execute(
            LauncherDiscoveryRequestBuilder.request()
                .selectors(selectClass(OfMissing.class))
                .build(),
            outcome);
    return outcome;
  }

  @AfterEach
  void restore() {
    if (before == null) {
      System.clearProperty(PROPERTY);
    } else {
      System.setProperty(PROPERTY, before);
    }
  }

  @Test
  void missingDeviceIsSkippedWithItsReason() {
    System.setProperty(PROPERTY, "another");
    Outcome outcome = run();
    assertThat(outcome.testRan).isFalse();
    assertThat(outcome.ofClass.getStatus()).isEqualTo(Status.ABORTED);
    assertThat(outcome.ofClass.getThrowable().orElseThrow())
        .hasMessageContaining("backend missing: no device was found. Plug one in.");
  }

  @Test
  void requiredDeviceMustBeThere() {
    System.setProperty(PROPERTY, "missing");
    Outcome outcome = run();
    assertThat(outcome.testRan).isFalse();
    assertThat(outcome.ofClass.getStatus()).isEqualTo(Status.FAILED);
    assertThat(outcome.ofClass.getThrowable().orElseThrow())
        .hasMessageContaining("no device was found");
  }
}
