package example;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** A byte for each code, and float32 for scales and zero points. */
class PlainFormat implements Format {
  @Override
  public String id() {
    return "plain";
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    return settings.descAct() ? Optional.of("has no order of columns") : Optional.empty();
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    PackedMatrix matrix = module.matrix();
    byte[] codes = new byte[Math.multiplyExact(matrix.rows(), matrix.columns())];
    for (int o = 0; o < matrix.rows(); o++) {
      for (int i = 0; i < matrix.columns(); i++) {
        codes[o * matrix.columns() + i] = (byte) matrix.code(o, i);
      }
    }
    MemorySegment scales = MemorySegment.ofArray(new float[matrix.rows() * matrix.groups()]);
    MemorySegment zeros = MemorySegment.ofArray(new float[matrix.rows() * matrix.groups()]);
    for (int g = 0, at = 0; g < matrix.groups(); g++) {
      for (int o = 0; o < matrix.rows(); o++, at++) {
        scales.setAtIndex(ValueLayout.JAVA_FLOAT, at, matrix.scale(o, g));
        zeros.setAtIndex(ValueLayout.JAVA_FLOAT, at, matrix.zero(o, g));
      }
    }
    long rows = matrix.rows();
    long columns = matrix.columns();
    long groups = matrix.groups();
    return ImmutableList.of(
        module.tensor("codes", StoredType.U8, MemorySegment.ofArray(codes), rows, columns),
        module.tensor("scales", StoredType.F32, scales, groups, rows),
        module.tensor("zeros", StoredType.F32, zeros, groups, rows));
  }

  @Override
  public ImmutableList<String> parts() {
    return ImmutableList.of("codes", "scales", "zeros");
  }

  @Override
  public ObjectNode settings(QuantizedModel model) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("quant_method", "plain")
        .put("bits", model.base().bits())
        .put("group_size", model.base().groupSize());
  }

  @Override
  public Optional<String> settingsFile() {
    return Optional.empty();
  }

  @Override
  public ImmutableSet<String> ownFiles() {
    return ImmutableSet.of();
  }
}
