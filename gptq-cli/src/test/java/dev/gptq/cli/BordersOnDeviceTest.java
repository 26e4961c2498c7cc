package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.cuda.EmulatedProvider;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.HeardGradients;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.HiddenStates;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * On an emulated GPU, hidden states of a backward pass come and go beside the work and take what a
 * rehearsal says; it takes long, so that it is for nights.
 */
@EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
final class BordersOnDeviceTest {
  @TempDir private Path folder;

  @Test
  void gradientsAreTheSameWhereverBordersAre() throws IOException {
    BackendOptions options = new BackendOptions(1, 0, ImmutableMap.of("cuda.lanes", "1"));
    assumeTrue(
        new EmulatedProvider().probe(options) instanceof Availability.Available,
        "g++ was not found");
    List<int[]> windows = List.of(new int[] {1, 2, 3, 4});
    List<List<float[]>> all = new ArrayList<>();
    List<Long> peaks = new ArrayList<>();
    try (Model model =
        Model.open(
            RandomCheckpoint.write(
                folder.resolve("model"),
                TinyConfigs.json("llama").put("num_hidden_layers", 3),
                7))) {
      for (HiddenStates where : HiddenStates.values()) {
        try (Backend backend = new CheckedBackend(new EmulatedProvider().open(options))) {
          long foreseen;
          try (Rehearsal rehearsal = backend.rehearsal()) {
            gradients(model, rehearsal, where, windows);
            foreseen = rehearsal.memory().peak();
          }
          all.add(gradients(model, backend, where, windows));
          assertThat(backend.memory().live()).isZero();
          assertThat(backend.memory().peak()).as("%s", where).isEqualTo(foreseen);
          peaks.add(foreseen);
        }
      }
    }
    assertThat(all.getFirst()).isNotEmpty();
    assertThat(all).usingRecursiveFieldByFieldElementComparator().containsOnly(all.getFirst());
    assertThat(peaks.get(1)).isLessThan(peaks.getFirst()).isEqualTo(peaks.get(2));
  }

  private List<float[]> gradients(
      Model model, Backend backend, HiddenStates where, List<int[]> windows) {
    try (Decoder decoder = model.load(backend);
        BorderRoom room =
            new BorderRoom(decoder, new BorderPlace(where, folder.resolve("borders")))) {
      return HeardGradients.of(backend, room.backward(), List.of(windows));
    }
  }
}
