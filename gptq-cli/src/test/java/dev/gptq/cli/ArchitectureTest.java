package dev.gptq.cli;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.gptq.backend.BackendProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Which module may use which, checked on the class files of all modules on this class path. */
final class ArchitectureTest {
  private static final String[] CORE = {
    "dev.gptq.backend..",
    "dev.gptq.grid..",
    "dev.gptq.host..",
    "dev.gptq.pack..",
    "dev.gptq.quantize..",
    "dev.gptq.reference..",
    "dev.gptq.tensor.."
  };

  private static JavaClasses all;

  @BeforeAll
  static void read() {
    all =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .withImportOption(location -> !location.contains("-tests.jar"))
            .importPackages("dev.gptq");
  }

  @Test
  void dependenciesPointOneWay() {
    layeredArchitecture()
        .consideringOnlyDependenciesInAnyPackage("dev.gptq..")
        .layer("core")
        .definedBy(CORE)
        .layer("simd")
        .definedBy("dev.gptq.simd..")
        .layer("cuda")
        .definedBy("dev.gptq.cuda..")
        .layer("formats")
        .definedBy("dev.gptq.formats..")
        .layer("models")
        .definedBy("dev.gptq.models..")
        .layer("data")
        .definedBy("dev.gptq.data..")
        .layer("quantizer")
        .definedBy("dev.gptq.quantizer..")
        .layer("hub")
        .definedBy("dev.gptq.hub..")
        .layer("cli")
        .definedBy("dev.gptq.cli..")
        .whereLayer("cli")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("hub")
        .mayOnlyBeAccessedByLayers("cli")
        .whereLayer("hub")
        .mayNotAccessAnyLayer()
        .whereLayer("data")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("quantizer")
        .mayOnlyBeAccessedByLayers("cli")
        .whereLayer("models")
        .mayOnlyBeAccessedByLayers("data", "quantizer", "cli")
        .whereLayer("formats")
        .mayOnlyBeAccessedByLayers("models", "data", "quantizer", "cli")
        .whereLayer("simd")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("cuda")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("core")
        .mayNotAccessAnyLayer()
        .ensureAllClassesAreContainedInArchitecture()
        .check(all);
  }

  @Test
  void packagesDependOnEachOtherOneWay() {
    slices().matching("dev.gptq.(**)").namingSlices("$1").should().beFreeOfCycles().check(all);
  }

  @Test
  void coreNeedsTheBaseModuleAndGuavaOnly() {
    classes()
        .that()
        .resideInAnyPackage(CORE)
        .should()
        .onlyDependOnClassesThat(
            resideInAnyPackage(CORE)
                .or(resideInAPackage("com.google.common.."))
                .or(ofModule("java.base")))
        .check(all);
  }

  @Test
  void theVectorModuleIsUsedInSimdOnly() {
    noClasses()
        .that(not(resideInAPackage("dev.gptq.simd..")))
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jdk.incubator..")
        .check(all);
  }

  @Test
  void simdIsSeenToUseTheVectorModule() {
    assertThat(all.stream())
        .as("else the rule above would hold for the wrong reason")
        .anyMatch(c ->
            c.getDirectDependenciesFromSelf().stream()
                .anyMatch(d -> d.getTargetClass().getName().startsWith("jdk.incubator.")));
  }

  @Test
  void aBackendsOnlyPublicTypeIsItsProvider() {
    classes()
        .that()
        .resideInAnyPackage("dev.gptq.simd", "dev.gptq.cuda")
        .and()
        .areTopLevelClasses()
        .and()
        .arePublic()
        .should()
        .implement(BackendProvider.class)
        .check(all);
  }

  @Test
  void onlyMainEndsTheProcess() {
    noClasses()
        .that()
        .doNotHaveFullyQualifiedName(Main.class.getName())
        .should()
        .callMethod(System.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "halt", int.class)
        .check(all);
  }

  private static DescribedPredicate<JavaClass> ofModule(String module) {
    return DescribedPredicate.describe(
        "of module " + module,
        c -> {
          JavaClass type = c.getBaseComponentType();
          return type.isPrimitive()
              || type.getSource()
                  .map(source -> source.getUri().toString().startsWith("jrt:/" + module + "/"))
                  .orElse(false);
        });
  }
}
