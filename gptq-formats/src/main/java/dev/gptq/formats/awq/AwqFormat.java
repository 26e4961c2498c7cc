package dev.gptq.formats.awq;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * AWQ in its version {@code gemm}: 4 bits. A module with prefix P, G groups of columns has
 *
 * <ul>
 *   <li>{@code P.qweight} I32 [in, out/8]: the codes of eight outputs a word, see {@link AwqWords};
 *   <li>{@code P.qzeros} I32 [G, out/8]: zero points as they are, packed alike;
 *   <li>{@code P.scales} F16 [G, out];
 *   <li>{@code P.bias} as the model has it.
 * </ul>
 */
final class AwqFormat implements Format {
  static final String ID = "awq";

  /** The only width of codes. */
  static final int BITS = 4;

  private static final ImmutableList<String> PARTS =
      ImmutableList.of("qweight", "qzeros", "scales");

  @Override
  public String id() {
    return ID;
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    if (settings.bits() != BITS) {
      return Optional.of("has codes of 4 bits only, not " + settings.bits());
    }
    Optional<String> scattered = GroupRefusals.scattered(settings);
    if (scattered.isPresent()) {
      return scattered;
    }
    if (rows % AwqWords.OUTPUTS != 0) {
      return Optional.of("packs 8 outputs in a word, and %d is no multiple of 8".formatted(rows));
    }
    return GroupRefusals.uneven(settings, columns);
  }

  @Override
  public boolean holdsMixedSettings() {
    return false;
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    return new AwqEncoder(module).encode();
  }

  @Override
  public ImmutableList<String> parts() {
    return PARTS;
  }

  @Override
  public ObjectNode settings(QuantizedModel model) {
    return AwqSettings.toJson(model);
  }

  @Override
  public Optional<String> settingsFile() {
    return Optional.empty();
  }

  @Override
  public ImmutableSet<String> ownFiles() {
    return ImmutableSet.of("quant_config.json", "quantization_config.json");
  }
}
