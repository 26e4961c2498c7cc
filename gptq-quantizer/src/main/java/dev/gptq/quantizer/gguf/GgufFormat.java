package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Optional;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * GGUF as a format of a run: a folder with one file of all weights in place of safetensors, and
 * what else a checkpoint has.
 *
 * @param ends the type of embedding and output layer
 * @param mixture what the types of modules were chosen by, if anything
 * @param type what its file is called by, where that does not follow from bits and grid
 */
public record GgufFormat(Ends ends, Optional<Mixture> mixture, Optional<String> type)
    implements Format {
  /** Of the types that follow from bits and grids. */
  public static GgufFormat of(Ends ends) {
    return new GgufFormat(ends, Optional.empty(), Optional.empty());
  }

  @Override
  public String id() {
    return "gguf";
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    return GgufType.refusal(settings, columns);
  }

  @Override
  public int scaleBits(int bits, boolean sym) {
    return GgufType.scaleBits(bits, sym);
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    throw new UnsupportedOperationException("modules are written by GgufExport");
  }

  @Override
  public ImmutableList<String> parts() {
    return ImmutableList.of();
  }

  /** Nothing: the file says it. */
  @Override
  public ObjectNode settings(QuantizedModel model) {
    return JsonMapper.shared().createObjectNode();
  }

  @Override
  public void complete(ObjectNode config, ObjectNode settings) {}

  @Override
  public Optional<String> settingsFile() {
    return Optional.empty();
  }

  @Override
  public ImmutableSet<String> ownFiles() {
    return ImmutableSet.of();
  }
}
