// How Node is started for this program, wherever it is: by its first line, and by a lab for its daemons.

/**
 * The heap has a limit of its own, whatever the host has: a million tasks need 1 GB on a manager, and more than four times
 * that is a leak that is better ended than swapped. `--` keeps Node from taking flags of ours for its own: it looks for
 * --env-file in all of a command line.
 */
export const nodeFlags = ['--max-old-space-size=4096', '--'] as const
