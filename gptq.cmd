@echo off
rem Starts the command line on Windows: finds a Java 25 and runs the distribution that this file is in.
rem In a folder of sources that is gptq-cli\target\distribution, once "mvn package -DskipTests" has made it.
setlocal

set "root=%~dp0."
if not exist "%root%\lib" if not exist "%root%\pom.xml" set "root=%~dp0.."
set "distribution=%root%"
if not exist "%root%\lib" set "distribution=%root%\gptq-cli\target\distribution"
if not exist "%distribution%\lib" (
  echo gptq: nothing is built yet: run "mvn package -DskipTests" first 1>&2
  exit /b 78
)

set "java25="
call :consider "%GPTQ_JAVA_HOME%"
call :consider "%root%\jre"
call :consider "%JAVA_HOME%"
for %%j in (java.exe) do if not "%%~$PATH:j" == "" call :consider "%%~dp$PATH:j.."
if not defined java25 (
  echo gptq: needs a JDK 25 and found none in GPTQ_JAVA_HOME, "%root%\jre", JAVA_HOME or the PATH. 1>&2
  echo Install one, for example Temurin 25 from adoptium.net, and set GPTQ_JAVA_HOME to its folder. 1>&2
  exit /b 78
)

set "generate="
if "%~1" == "generate" set generate="@%distribution%\config\generate.args"

rem GPTQ_JAVA_OPTS is for more heap or a profiler. RUST_FLAVOR keeps the tokenizer library off the network.
set "RUST_FLAVOR=cpu"
"%java25%\bin\java.exe" "@%distribution%\config\jvm.args" %generate% "-Dgptq.home=%distribution%" %GPTQ_JAVA_OPTS% ^
  -cp "%distribution%\lib\*" dev.gptq.cli.Main %*
exit /b %ERRORLEVEL%

:consider
if defined java25 exit /b 0
if "%~1" == "" exit /b 0
if not exist "%~1\bin\java.exe" exit /b 0
if not exist "%~1\release" exit /b 0
findstr /b /r /c:"JAVA_VERSION=.25[^0-9]" "%~1\release" >nul && set "java25=%~1"
exit /b 0
