package dev.gptq.cuda.driver;

import com.google.common.base.Strings;
import com.google.common.collect.ImmutableList;
import dev.gptq.backend.BackendOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;

/** Where CUDA's libraries may lie besides the system's own folders. */
public final class CudaFolders {
  /** The setting that names CUDA's folder. */
  public static final String SETTING = "cuda.home";

  private static final ImmutableList<String> LIBRARIES =
      ImmutableList.of("lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "");

  private CudaFolders() {}

  /**
   * The folder of the setting {@link #SETTING}, then of the variables {@code CUDA_HOME} and {@code
   * CUDA_PATH}, then {@code /usr/local/cuda}; of each the subfolders that hold libraries.
   */
  public static ImmutableList<Path> of(BackendOptions options, Map<String, String> environment) {
    return Stream.of(
            options.settings().get(SETTING),
            environment.get("CUDA_HOME"),
            environment.get("CUDA_PATH"),
            "/usr/local/cuda")
        .filter(home -> !Strings.isNullOrEmpty(home))
        .flatMap(home -> LIBRARIES.stream().map(Path.of(home)::resolve))
        .filter(Files::isDirectory)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }
}
