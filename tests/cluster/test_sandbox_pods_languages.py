"""A job in a pod is what it is in a container: the same suite, on the other backend."""

import pytest
from sandbox_daemon import Daemon
from test_sandbox_languages import (
    test_a_job_compiles_and_runs_a_c_program,
    test_a_python_job_imports_its_own_modules_before_warm_ones,
    test_a_python_job_is_the_same_as_python3_main_py,
    test_figures_of_a_job_come_with_its_result,
    test_files_are_there_with_their_content_and_scripts_are_executable,
    test_node_is_current_and_runs_its_own_tests,
    test_output_that_is_not_utf8_comes_as_it_was,
    test_standard_input_arrives_whole,
    test_standard_input_that_nobody_reads_does_not_hold_a_job,
    test_the_environment_holds_nothing_but_what_a_program_needs,
    test_without_standard_input_a_job_reads_its_end,
)

__all__ = [
    "test_a_job_compiles_and_runs_a_c_program",
    "test_a_python_job_imports_its_own_modules_before_warm_ones",
    "test_a_python_job_is_the_same_as_python3_main_py",
    "test_figures_of_a_job_come_with_its_result",
    "test_files_are_there_with_their_content_and_scripts_are_executable",
    "test_node_is_current_and_runs_its_own_tests",
    "test_output_that_is_not_utf8_comes_as_it_was",
    "test_standard_input_arrives_whole",
    "test_standard_input_that_nobody_reads_does_not_hold_a_job",
    "test_the_environment_holds_nothing_but_what_a_program_needs",
    "test_without_standard_input_a_job_reads_its_end",
]


@pytest.fixture
def daemon(pod_daemon: Daemon) -> Daemon:
    """Its sandboxes are pods."""
    return pod_daemon
