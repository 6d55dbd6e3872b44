"""What the tests are made of: repositories, stores that fail, servers that lie, processes of our own.

git          repositories made by real git, in one environment that no machine's configuration reaches
trees        a repository whose tree changes at random
hostile      repositories that an attacker would make
wires        the repositories in a folder, served in every way: HTTP, git://, SSH, a local path
fleet_host   hundreds of repositories over HTTP, each with a behaviour of its own
fleets       runs of a fleet as processes: their results, their kills
httpservers  servers that say exactly what a test tells them to
faults       stores that misbehave
lab          a store with a clock of its own: snapshots taken, restored and verified in this process
fixtures     a lab and an origin, for the tests of several packages
cli          `snapshotter` as a process
scans, lake  snapshots with scans, and questions to them
"""
