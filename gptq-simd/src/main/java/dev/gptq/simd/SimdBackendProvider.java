package dev.gptq.simd;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.backend.BackendSetting;
import dev.gptq.backend.BackendUnavailableException;
import java.util.Optional;

/**
 * Offers the CPU backend on {@code jdk.incubator.vector}. Loads without that module: vector classes
 * are reached only from {@link #open}, after {@link #probe} found them.
 */
public final class SimdBackendProvider implements BackendProvider {
  static final String NAME = "simd";
  private static final int RANK = 50;

  /** For the service loader. */
  public SimdBackendProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ImmutableList<BackendSetting> settings() {
    return ImmutableList.of(
        BackendSetting.oneOf(LaneWidth.SETTING, "128", "256", "512"),
        new BackendSetting(
            ActivationMode.SETTING,
            "one of " + ActivationMode.known(),
            id -> ActivationMode.of(id).isPresent()),
        KernelChoice.setting(),
        BackendSetting.positive(SimdBackend.LANES));
  }

  @Override
  public Availability probe(BackendOptions options) {
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      return new Availability.Unavailable(
          "the module jdk.incubator.vector is not loaded",
          "Run with --add-modules jdk.incubator.vector.");
    }
    Optional<Availability.Unavailable> refusal = HotSpot.refusal();
    if (refusal.isPresent()) {
      return refusal.get();
    }
    String forced = options.settings().get(LaneWidth.SETTING);
    if (forced != null && !LaneWidth.isKnown(forced)) {
      return new Availability.Unavailable(
          "the setting " + LaneWidth.SETTING + " is '" + forced + "'", "Use 128, 256 or 512.");
    }
    String activations = options.settings().get(ActivationMode.SETTING);
    if (activations != null && ActivationMode.of(activations).isEmpty()) {
      return new Availability.Unavailable(
          "the setting " + ActivationMode.SETTING + " is '" + activations + "'",
          "Use one of " + ActivationMode.known() + ".");
    }
    Optional<Availability.Unavailable> kernels = KernelChoice.refusal(options);
    if (kernels.isPresent()) {
      return kernels.get();
    }
    int bits = LaneWidth.parse(forced);
    return new Availability.Available(
        RANK,
        device(options.threads()),
        ImmutableMap.of(
            "vector bits",
            bits == LaneWidth.PREFERRED ? "preferred" : Integer.toString(bits),
            "threads",
            Integer.toString(options.threads()),
            "activations",
            ActivationMode.of(options).id(),
            "kernels",
            KernelChoice.of(options).text()));
  }

  @Override
  public Backend open(BackendOptions options) {
    if (probe(options) instanceof Availability.Unavailable why) {
      throw new BackendUnavailableException(NAME, why);
    }
    String forced = options.settings().get(LaneWidth.SETTING);
    if (forced != null) {
      LaneWidth.request(forced);
      if (8 * Lanes.BYTES != LaneWidth.parse(forced)) {
        throw new BackendUnavailableException(
            NAME,
            new Availability.Unavailable(
                "this JVM already runs kernels of " + 8 * Lanes.BYTES + " bits",
                "Set " + LaneWidth.SETTING + " before the first use, or start another JVM."));
      }
    }
    return new SimdBackend(options);
  }

  static String device(int threads) {
    return "CPU, vectors, " + threads + (threads == 1 ? " thread" : " threads");
  }
}
