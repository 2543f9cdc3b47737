"""Record the calls of components and the `with` blocks of a pipeline function.

`trace` holds what is recorded, `tasks` and `groups` are its parts, and `channels` are the values that pass between
tasks. `conditions` and `loops` are the kinds of groups that users write.
"""
