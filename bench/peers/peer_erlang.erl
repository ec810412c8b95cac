%% peer_erlang.erl - Erlang beside our local rows: erl -noshell -s peer_erlang main MODE COUNT; prints ns.
-module(peer_erlang).
-export([main/1, init/1, handle_call/3, handle_cast/2, idle/0]).
-behaviour(gen_server).

init(_) -> {ok, 0}.
handle_call(get, _, N) -> {reply, N, N}.
handle_cast({add, A}, N) -> {noreply, N + A}.

main([Mode, Count]) ->
    N = list_to_integer(atom_to_list(Count)),
    io:format("~.2f~n", [run(Mode, N)]),
    halt(0).

counter(N) ->
    receive
        {add, A} -> counter(N + A);
        {get, From} -> From ! {is, N}, counter(N)
    end.

timed(N, F) ->
    T = erlang:monotonic_time(nanosecond),
    F(),
    (erlang:monotonic_time(nanosecond) - T) / N.

run(tell, N) ->
    Pid = spawn(fun() -> counter(0) end),
    timed(N, fun() -> tells(Pid, N) end);
run(ask, N) ->
    {ok, Pid} = gen_server:start(?MODULE, [], []),
    timed(N, fun() -> asks(Pid, N) end);
run(ring, N) ->
    Self = self(),
    Last = lists:foldl(fun(_, Next) -> spawn(fun() -> pass(Next, Self) end) end, self(), lists:seq(1, 999)),
    timed(N, fun() -> Last ! {hop, N}, own(Last) end);
run(spawn, N) ->
    timed(N, fun() -> spawns(N) end).

%% Bursts of 1,000, so that the mailbox stays in the cache.
tells(_, N) when N =< 0 -> ok;
tells(Pid, N) ->
    burst(Pid, 1000),
    Pid ! {get, self()},
    receive {is, _} -> tells(Pid, N - 1000) end.
burst(_, 0) -> ok;
burst(Pid, I) -> Pid ! {add, 1}, burst(Pid, I - 1).

asks(_, 0) -> ok;
asks(Pid, N) -> gen_server:call(Pid, get), asks(Pid, N - 1).

pass(Next, Owner) ->
    receive
        {hop, 0} -> Owner ! done;
        {hop, N} -> Next ! {hop, N - 1}, pass(Next, Owner)
    end.
own(Next) ->
    receive
        done -> ok;
        {hop, 0} -> ok;
        {hop, N} -> Next ! {hop, N - 1}, own(Next)
    end.

idle() -> receive stop -> ok end.
spawns(0) -> ok;
spawns(N) ->
    {Pid, Ref} = spawn_monitor(?MODULE, idle, []),
    Pid ! stop,
    receive {'DOWN', Ref, process, _, _} -> spawns(N - 1) end.
